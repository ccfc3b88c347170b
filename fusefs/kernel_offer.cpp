#include "fusefs/kernel_offer.h"

#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

namespace platter::fusefs {
namespace {

// The number of the request INIT while it is not answered; 0: it is.
std::atomic<uint64_t> init_request{0};
bool kernel_can_v2 = false;  // written before init_request
// The reply this thread writes next is to an open(), for parallel writes.
thread_local bool opens_for_parallel_writes = false;

// Kernel 6.2; older ones pass over it.
constexpr uint32_t kParallelDirectWrites = 1U << 6U;

ssize_t read_request(int fd, void* buffer, size_t size, void* /*userdata*/) {
  const ssize_t n = read(fd, buffer, size);
  // Aborted while a request was handed over: the connection has ended, as it has at ENODEV.
  if (n < 0 && errno == ECONNABORTED) errno = ENODEV;
  if (n >= static_cast<ssize_t>(sizeof(fuse_in_header) + offsetof(fuse_init_in, flags2))) {
    const auto& header = *static_cast<const fuse_in_header*>(buffer);
    if (header.opcode == FUSE_INIT) {
      const auto& init = *reinterpret_cast<const fuse_init_in*>(&header + 1);
      kernel_can_v2 = (init.flags & FUSE_HANDLE_KILLPRIV_V2) != 0;
      init_request.store(header.unique);
    }
  }
  return n;
}

ssize_t write_reply(int fd, iovec* parts, int count, void* /*userdata*/) {
  const uint64_t init = init_request.load(std::memory_order_relaxed);
  if (init != 0 && count > 1) {
    const auto& header = *static_cast<const fuse_out_header*>(parts[0].iov_base);
    if (header.unique == init && header.error == 0 &&
        parts[1].iov_len >= FUSE_COMPAT_22_INIT_OUT_SIZE) {
      auto& answer = *static_cast<fuse_init_out*>(parts[1].iov_base);
      if (kernel_can_v2) {
        answer.flags |= FUSE_HANDLE_KILLPRIV_V2;
        answer.flags &= ~static_cast<uint32_t>(FUSE_HANDLE_KILLPRIV);
      }
      init_request.store(0);
    }
  }
  if (opens_for_parallel_writes && count > 1 && parts[1].iov_len == sizeof(fuse_open_out)) {
    static_cast<fuse_open_out*>(parts[1].iov_base)->open_flags |= kParallelDirectWrites;
  }
  return writev(fd, parts, count);
}

}  // namespace

int reply_open_for_parallel_writes(fuse_req_t request, const fuse_file_info* file) {
  opens_for_parallel_writes = true;
  const int done = fuse_reply_open(request, file);
  opens_for_parallel_writes = false;
  return done;
}

bool carry_requests(fuse_session* session) {
  const fuse_custom_io io = {.writev = write_reply,
                             .read = read_request,
                             .splice_receive = nullptr,
                             .splice_send = nullptr};
  return fuse_session_custom_io(session, &io, fuse_session_fd(session)) == 0;
}

}  // namespace platter::fusefs
