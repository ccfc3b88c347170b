#include "fusefs/gallery.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <fmt/format.h>

#include "lib/base/log.h"
#include "lib/base/text.h"

namespace platter::fusefs {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// How long a container stays open for the next who looks into it.
constexpr auto kIdle = 5s;
// What could not be opened is tried again by who looks a while later: it may have been busy. Later
// when it takes long to fail: most of the time is for others.
constexpr auto kTryAgain = 1s;
constexpr int kRest = 10;  // times as long as it took

Error no_such_node() { return Error(Errc::not_found, "there is no such file"); }

}  // namespace

Gallery::Gallery(const ServedBy& by, ImageFile image, std::unique_ptr<Container> container)
    : by_(by), writable_(container->writer() != nullptr) {
  by_.lasting = true;
  slots_.push_back(std::make_unique<Slot>(std::move(image)));
  const MutexLock lock(slots_[0]->mutex);
  lasting_ = std::make_shared<Served>(std::move(container), 0, by_, slots_[0]->numbers);
}

Gallery::Gallery(const ServedBy& by, std::vector<ImageFile> images, Open open, bool writable)
    : by_(by), open_(std::move(open)), writable_(writable) {
  for (ImageFile& image : images) {
    by_name_.emplace(image.name, slots_.size());
    slots_.push_back(std::make_unique<Slot>(std::move(image)));
  }
}

Gallery::~Gallery() { stop(); }

Gallery::Slot* Gallery::slot_of(const Node& node) const {
  if (lasting_ != nullptr) return node.container == 0 ? slots_[0].get() : nullptr;
  if (node.container == 0 || node.container > slots_.size()) return nullptr;
  return slots_[node.container - 1].get();
}

const ImageFile& Gallery::image(const Node& node) const {
  const Slot* const slot = slot_of(node);
  return slot != nullptr ? slot->image : slots_[0]->image;
}

std::optional<Node> Gallery::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return std::nullopt;
  return directory_of(found->second);
}

void Gallery::open(Slot& slot, uint32_t number) {
  const auto began = Clock::now();
  if (!slot.error.empty() && began < slot.try_again) return;
  slot.opening = true;
  Result<std::unique_ptr<Container>> opened = open_(slot.image);
  slot.opening = false;
  if (!opened) {
    const auto now = Clock::now();
    slot.try_again = now + std::max<Clock::duration>(kTryAgain, kRest * (now - began));
    const std::string why = printable(std::move(opened.error()).within(slot.image.path).message());
    if (slot.error.empty()) log::warning("{}", why);
    slot.error = why + "\n";
    return;
  }
  slot.error.clear();
  slot.served = std::make_shared<Served>(*std::move(opened), number, by_, slot.numbers);
}

Result<Place> Gallery::enter(uint64_t inode) {
  const std::optional<Node> node = node_of(inode);
  if (has_directory() && inode == inode_of({})) return Place{{}, nullptr};
  Slot* const slot = node ? slot_of(*node) : nullptr;
  if (slot == nullptr) return no_such_node();
  Place place{*node, lasting_};
  if (lasting_ == nullptr) {
    const MutexLock lock(slot->mutex);
    if (slot->served == nullptr) open(*slot, node->container);
    slot->used = Clock::now();
    place.served = slot->served;
  }
  const bool shows_an_error =
      node->kind == Node::Kind::error || (node->kind == Node::Kind::state && node->disk == 0);
  const bool there = place.served == nullptr
                         ? shows_an_error
                         : node->kind != Node::Kind::error && place.served->tree.has(*node);
  if (!there) return no_such_node();
  return place;
}

std::string Gallery::error(const Node& node) const {
  const Slot* const slot = slot_of(node);
  if (slot == nullptr) return {};
  const MutexLock lock(slot->mutex);
  return slot->error;
}

std::vector<std::shared_ptr<Served>> Gallery::opened() const {
  if (lasting_ != nullptr) return {lasting_};
  std::vector<std::shared_ptr<Served>> list;
  for (const auto& slot : slots_) {
    // Not open before somebody has waited for it.
    if (slot->opening) continue;
    const MutexLock lock(slot->mutex);
    if (slot->served != nullptr) list.push_back(slot->served);
  }
  return list;
}

std::vector<std::string> Gallery::written() const {
  std::vector<std::string> names;
  for (const auto& served : opened()) {
    if (served->container.writer() == nullptr) continue;
    names.push_back(has_directory() ? image(served->tree.of_disk(Node::Kind::disk)).name : "");
  }
  return names;
}

size_t Gallery::open_files() const {
  size_t count = texts_.count();
  for (const auto& served : opened()) count += served->open_files.count();
  return count;
}

Result<void> Gallery::flush() {
  Result<void> first;
  for (const auto& served : opened()) {
    Writer* const writer = served->container.writer();
    if (writer == nullptr) continue;
    Result<void> flushed = writer->flush();
    if (!flushed && first) first = std::move(flushed);
  }
  return first;
}

Result<void> Gallery::close(Served& served) {
  Writer* const writer = served.container.writer();
  return writer == nullptr ? Result<void>() : writer->close();
}

Result<void> Gallery::close() {
  stop();
  Result<void> first;
  for (const auto& served : opened()) {
    Result<void> closed = close(*served);
    if (closed) continue;
    if (has_directory()) log::error("{}", closed.error().message());
    if (first) first = std::move(closed);
  }
  return first;
}

void Gallery::close_idle(Slot& slot) {
  if (slot.opening) return;
  const MutexLock lock(slot.mutex);
  if (slot.served == nullptr) return;
  // Whoever else has it got it under the lock, or by a file that was open then: in this order.
  const bool used = slot.served->open_files.count() != 0 || slot.served.use_count() != 1;
  if (used) slot.used = Clock::now();
  if (Clock::now() - slot.used < kIdle) return;
  Writer* const writer = slot.served->container.writer();
  if (by_.thrown_away && writer != nullptr && writer->has_begun()) return;
  // What cannot be flushed stays, and the next sync or the end of the mount has the error.
  if (writer != nullptr && !writer->flush()) {
    slot.used = Clock::now();
    return;
  }
  const Result<void> closed = close(*slot.served);
  if (!closed) log::error("{}", closed.error().message());
  slot.served.reset();
}

void Gallery::start() {
  if (has_directory()) closer_ = std::thread([this] { run(); });
}

void Gallery::stop() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
    stopped_.notify_one();
  }
  if (closer_.joinable()) closer_.join();
}

void Gallery::run() {
  for (;;) {
    {
      const MutexLock lock(mutex_);
      if (!stop_) stopped_.wait_for(mutex_, 1s);
      if (stop_) return;
    }
    for (const auto& slot : slots_) {
      try {
        close_idle(*slot);
      } catch (const std::exception& error) {
        // Out of memory: it stays open, and is tried again.
        log::error("{}: not closed: {}", printable(slot->image.path), error.what());
      }
    }
  }
}

}  // namespace platter::fusefs
