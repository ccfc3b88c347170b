// What is agreed with the kernel that libfuse 3.14 has no name for.
#pragma once

#include "fusefs/fuse_api.h"

namespace platter::fusefs {

// From here on this program's own read and writev carry the session's requests. Its answer to INIT
// says that a write takes away set-user-id bits by itself (FUSE_HANDLE_KILLPRIV_V2): otherwise the
// kernel asks for the attribute security.capability before every buffered write. False: libfuse
// refused. After fuse_session_mount().
bool carry_requests(fuse_session* session);

// fuse_reply_open() for a file opened with direct_io, whose writes the kernel may then send side by
// side (FOPEN_PARALLEL_DIRECT_WRITES). Does so only where carry_requests() was called.
int reply_open_for_parallel_writes(fuse_req_t request, const fuse_file_info* file);

}  // namespace platter::fusefs
