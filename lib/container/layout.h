// Layout: which layers the live disk is made of, held still while a request uses them.
#pragma once

#include <atomic>
#include <optional>

#include "lib/container/view.h"
#include "lib/image/epochs.h"

namespace platter {

// Every request holds it shared, from before it looks at the view until its answer is out; who
// changes what the disk is made of (its size, its layers) holds it alone. It is the outermost lock
// of the read and write path. Thread safe.
class Layout {
 public:
  // epochs outlives it.
  Layout(Epochs& epochs, ViewPtr live) : epochs_(&epochs) { take(std::move(live)); }
  // Nobody ever changes it, so that a request costs nothing.
  explicit Layout(ViewPtr live) { take(std::move(live)); }

  // A thread has one at a time, and while it has it neither flushes nor waits for the kernel:
  // whoever changes the layout may be in a flush, and what the kernel waits for may be another
  // request.
  class Request {
   public:
    explicit Request(const Layout& layout) : layout_(layout) {
      if (layout.epochs_ != nullptr) request_.emplace(*layout.epochs_);
    }
    // The live disk, until the request ends.
    const View& view() const { return *layout_.live_; }

   private:
    const Layout& layout_;
    std::optional<Epochs::Request> request_;
  };

  // Waits until no request is under way, and keeps new ones waiting. Its thread has none.
  class Change {
   public:
    explicit Change(Layout& layout) : layout_(layout), alone_(*layout.epochs_) {}
    const View& view() const { return *layout_.live_; }
    void show(ViewPtr live) { layout_.take(std::move(live)); }

   private:
    Layout& layout_;
    const Epochs::Alone alone_;
  };

  // Bytes of the live disk, without a request: it may have changed when this returns.
  uint64_t size() const { return size_.load(); }
  // Without a request, for those that know that nobody changes it meanwhile.
  const ViewPtr& live() const { return live_; }

 private:
  void take(ViewPtr live) {
    live_ = std::move(live);
    size_.store(live_->size());
  }

  Epochs* const epochs_ = nullptr;
  ViewPtr live_;  // read in a Request, written in a Change
  std::atomic<uint64_t> size_{0};
};

}  // namespace platter
