// Replies: extents to what the kernel copies from, and errors to errno.
#pragma once

#include "fusefs/fuse_api.h"
#include "lib/container/read_ahead.h"
#include "lib/container/view.h"

namespace platter::fusefs {

int errno_for(const Error& error);

// Logs what the caller sees only as EIO: each message once.
void reply_error(fuse_req_t request, const Error& error);

// The guest bytes of range, which lies inside the view; true: they were sent. No byte passes
// through this program where the host file's page cache can be copied from. When they were
// compressed, what comes next is decoded after the reply.
bool reply_bytes(fuse_req_t request, const View& view, const Range& range, ReadAhead& ahead);

// Runs one handler; the only place where an exception (out of memory) becomes an errno.
template <class Handler>
void guarded(fuse_req_t request, Handler&& handler) noexcept {
  try {
    handler();
  } catch (...) {
    fuse_reply_err(request, ENOMEM);
  }
}

}  // namespace platter::fusefs
