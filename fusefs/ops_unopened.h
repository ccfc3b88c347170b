// What is answered without an open container: the directory of containers, the directories in it as
// they look from there, and what a container shows that cannot be opened.
#pragma once

#include "fusefs/ops.h"

namespace platter::fusefs {

// node: the root of a mount of several, or the directory or error.txt of a container that could not
// be opened.
void lookup_unopened(fuse_req_t request, const Node& node, const char* name);
void list_unopened(fuse_req_t request, const Node& node, size_t size, off_t offset);
void open_unopened(fuse_req_t request, const Node& node, fuse_file_info* file);
// Also of the directory of any container.
void stat_unopened(fuse_req_t request, const Node& node);
// Nothing of it can be changed.
void refuse_unopened(fuse_req_t request, const Node& node);

// The directory of containers, or one in it: looking at it opens nothing.
bool stands_outside(const Gallery& gallery, fuse_ino_t inode);

// What tools ask of a mount, listed nowhere: "user.platter.pid" of the root, the program's;
// "user.platter.written" of the root, the containers that are open for writing, a zero byte behind
// each name (the one that is the mount has none); "user.platter.file" of a container's directory.
std::optional<std::string> attribute_unopened(const Gallery& gallery, fuse_ino_t inode,
                                              std::string_view name);

}  // namespace platter::fusefs
