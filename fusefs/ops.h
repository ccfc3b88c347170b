// What the kernel asks and this program answers.
#pragma once

#include "fusefs/fuse_api.h"
#include "fusefs/served.h"

namespace platter::fusefs {

// The userdata of the session is a Served.
fuse_lowlevel_ops filesystem_ops();

// Names, attributes and directories (ops_meta.cpp).
void add_meta_ops(fuse_lowlevel_ops& ops);
// Open files and their bytes (ops_io.cpp).
void add_io_ops(fuse_lowlevel_ops& ops);

inline Served& served_by(fuse_req_t request) {
  return *static_cast<Served*>(fuse_req_userdata(request));
}

}  // namespace platter::fusefs
