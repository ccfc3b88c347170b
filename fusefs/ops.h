// What the kernel asks and this program answers.
#pragma once

#include "fusefs/fuse_api.h"
#include "fusefs/served.h"

namespace platter::fusefs {

// The userdata of the session is a Served.
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

inline Served& served_by(fuse_req_t request) {
  return *static_cast<Served*>(fuse_req_userdata(request));
}

}  // namespace platter::fusefs
