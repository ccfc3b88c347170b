// What is agreed with the kernel that libfuse 3.14 has no name for.
#pragma once

#include "fusefs/fuse_api.h"

namespace platter::fusefs {

// From here on this program's own read and writev carry the session's requests. Its answer to INIT
// says that a write takes away set-user-id bits by itself (FUSE_HANDLE_KILLPRIV_V2): otherwise the
// kernel asks for the attribute security.capability before every buffered write. False: libfuse
// refused. After fuse_session_mount().
bool carry_requests(fuse_session* session);

}  // namespace platter::fusefs
