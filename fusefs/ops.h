// What the kernel asks and this program answers.
#pragma once

#include <cerrno>
#include <functional>
#include <optional>

#include "fusefs/fuse_api.h"
#include "fusefs/gallery.h"
#include "fusefs/reply.h"

namespace platter::fusefs {

// The userdata of the session is a Gallery.
fuse_lowlevel_ops filesystem_ops();

// Names, attributes and directories (ops_meta.cpp).
void add_meta_ops(fuse_lowlevel_ops& ops);
// Open files and reading their bytes (ops_io.cpp).
void add_io_ops(fuse_lowlevel_ops& ops);
// Snapshots made, deleted, renamed and gone back to (ops_snapshots.cpp).
void add_snapshot_ops(fuse_lowlevel_ops& ops);
// Everything else that changes something, or is refused since nothing may (ops_write.cpp).
void add_write_ops(fuse_lowlevel_ops& ops);

// How long the kernel may believe the attributes of a node, seconds.
double attribute_timeout(const Served& served, const Node& node);

// What a look for the node in the directory, or the making of it, is answered with.
Result<fuse_entry_param> entry_for(const Served& served, const Node& directory, const Node& node);

inline OpenFile& opened(const fuse_file_info* file) {
  return *reinterpret_cast<OpenFile*>(file->fh);
}

// Keeps the container of an open file open past the reply, after which the file may be closed.
inline std::shared_ptr<Served> hold(const OpenFile& file) {
  if (file.served == nullptr || file.served->by.lasting) return nullptr;
  return file.served->shared_from_this();
}

inline Gallery& gallery_of(fuse_req_t request) {
  return *static_cast<Gallery*>(fuse_req_userdata(request));
}

// Answers with handler(served, node) of the node that has that number, or, where no container is
// open, with unopened(request, node).
template <class Handler, class Unopened>
void with_node(fuse_req_t request, fuse_ino_t inode, Handler&& handler,
               Unopened&& unopened) noexcept {
  guarded(request, [&] {
    const Result<Place> place = gallery_of(request).enter(inode);
    if (!place) return void(fuse_reply_err(request, ENOENT));
    if (place->served == nullptr) return unopened(request, place->node);
    handler(*place->served, place->node);
  });
}

// The entries of a directory from offset on; entry_at gives the one at or behind an index, if any.
void reply_listing(fuse_req_t request, size_t size, off_t offset,
                   const std::function<std::optional<Tree::Entry>(uint64_t)>& entry_at);

}  // namespace platter::fusefs
