#include <platter/requests.h>

#include "lib/api/request_queue.h"

namespace platter {
namespace {

// More than a machine has processors, for disks that let one wait; not so many that they are in one
// another's way where nobody waits.
constexpr unsigned kThreads = 8;

}  // namespace

Requests::Requests(VirtualDisk& disk, unsigned threads)
    : queue_(std::make_unique<Queue>(disk, threads != 0 ? threads : kThreads)) {}
Requests::~Requests() = default;

Requests::Id Requests::read(uint64_t offset, std::span<std::byte> out, Done done) {
  return queue_->add({.what = Queue::What::read,
                      .offset = offset,
                      .length = out.size(),
                      .into = out.data(),
                      .done = std::move(done)});
}
Requests::Id Requests::write(uint64_t offset, std::span<const std::byte> data, Done done) {
  return queue_->add({.what = Queue::What::write,
                      .offset = offset,
                      .length = data.size(),
                      .from = data.data(),
                      .done = std::move(done)});
}
Requests::Id Requests::zero(ByteRange range, Done done) {
  return queue_->add({.what = Queue::What::zero,
                      .offset = range.offset,
                      .length = range.length,
                      .done = std::move(done)});
}
Requests::Id Requests::discard(ByteRange range, Done done) {
  return queue_->add({.what = Queue::What::discard,
                      .offset = range.offset,
                      .length = range.length,
                      .done = std::move(done)});
}
Requests::Id Requests::flush(Done done) {
  return queue_->add({.what = Queue::What::flush, .done = std::move(done)});
}

bool Requests::cancel(Id id) { return queue_->cancel(id); }
void Requests::wait() { queue_->wait(); }

}  // namespace platter
