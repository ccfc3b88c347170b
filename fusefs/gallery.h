// Gallery: the containers of a mount. One alone is the mount; of several each has a directory, and
// is open only while it is used.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "fusefs/served.h"
#include "lib/base/sync.h"
#include "lib/io/posix_file.h"

namespace platter::fusefs {

// An image that a mount shows.
struct ImageFile {
  std::string path;  // absolute
  std::string name;  // of its directory in a mount of several
  bool writable = false;
  bool named = false;                      // by the user; else it was found in a directory
  std::shared_ptr<const Descriptor> home;  // the directory that holds it
  std::string archive = {};                // of home, that the image is in; empty: none
};

// What an inode number leads to.
struct Place {
  Node node;
  std::shared_ptr<Served> served;  // null: no container, or one that could not be opened
};

// Thread safe.
class Gallery {
 public:
  using Open = std::function<Result<std::unique_ptr<Container>>(const ImageFile&)>;

  // A mount of one container, open from the start.
  Gallery(const ServedBy& by, ImageFile image, std::unique_ptr<Container> container);
  // A mount of several, not none. open: called when one is looked into, for several at a time.
  // writable: some of them may be written to.
  Gallery(const ServedBy& by, std::vector<ImageFile> images, Open open, bool writable);
  ~Gallery();
  Gallery(const Gallery&) = delete;
  Gallery& operator=(const Gallery&) = delete;

  // Errc::not_found: no such node. Opens the container the node is in; the root of several is in
  // none.
  Result<Place> enter(uint64_t inode);
  // Of a container that could not be opened: why, in a line with its end.
  std::string error(const Node& node) const;

  // What follows opens nothing.

  // Its containers are entries of the root; not so the one that is the mount itself.
  bool has_directory() const { return lasting_ == nullptr; }
  // At least one. In the order of the directory; node.container - 1 is the index of one of several.
  size_t size() const { return slots_.size(); }
  const ImageFile& image(size_t index) const { return slots_[index]->image; }
  // The one the node is in; of the root of several, and of what is no node, the first.
  const ImageFile& image(const Node& node) const;
  // Empty: no container has that name.
  std::optional<Node> find(const std::string& name) const;
  static Node directory_of(size_t index) { return {.container = static_cast<uint32_t>(index) + 1}; }

  const ServedBy& by() const { return by_; }
  bool writable() const { return writable_; }
  // Of the containers that are open for writing; that of the only one has none.
  std::vector<std::string> written() const;
  // Files of the mount that are open.
  size_t open_files() const;
  // Of what is shown for a container that cannot be opened.
  OpenFiles& texts() { return texts_; }

  // Every container that is written; goes on after an error, and returns the first.
  Result<void> flush();
  // Whoever wrote without a sync learns of a failure only here. Nothing is asked of it any more.
  Result<void> close();

  // Before the first request: what replies to changes, see ServedBy.
  void set_notifier(Notifier* notifier) { by_.notifier = notifier; }
  // Closes containers that are not used, in a thread of its own, from now on and until then.
  void start();
  void stop();

  std::function<void()> on_init;  // runs once, before the kernel has its answer to INIT

 private:
  struct Slot {
    explicit Slot(ImageFile file) : image(std::move(file)) {}

    const ImageFile image;
    mutable Mutex mutex;
    std::shared_ptr<Served> served GUARDED_BY(mutex);
    StateNumbers numbers GUARDED_BY(mutex);
    std::string error GUARDED_BY(mutex);  // empty: it opened when it was tried last
    std::chrono::steady_clock::time_point used GUARDED_BY(mutex), try_again GUARDED_BY(mutex);
    std::atomic<bool> opening{false};  // by who has the mutex, which may take long
  };

  Slot* slot_of(const Node& node) const;
  void open(Slot& slot, uint32_t number) REQUIRES(slot.mutex);
  std::vector<std::shared_ptr<Served>> opened() const;
  static Result<void> close(Served& served);
  void close_idle(Slot& slot);
  void run();

  ServedBy by_;
  const Open open_;
  const bool writable_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::unordered_map<std::string, size_t> by_name_;
  std::shared_ptr<Served> lasting_;  // of a mount of one
  OpenFiles texts_;

  Mutex mutex_;
  CondVar stopped_;
  bool stop_ GUARDED_BY(mutex_) = false;
  std::thread closer_;
};

}  // namespace platter::fusefs
