// VirtualDisk::Stack: which images are open, and how.
#pragma once

#include "lib/api/request.h"

namespace platter {

// The images are one Container, which is opened anew when they change. Thread safety: what is const
// at any time, the rest alone.
class __attribute__((visibility("hidden"))) VirtualDisk::Stack {
 public:
  explicit Stack(Kind kind) : kind_(kind) {}

  Kind kind() const { return kind_; }
  const std::vector<OpenImage>& images() const { return images_; }  // the lowest first, as asked
  bool empty() const { return images_.empty(); }
  bool writable() const { return container_ != nullptr && container_->writer() != nullptr; }
  // How an image is open, which may be less than was asked.
  OpenFlags flags(size_t image) const;

  // Errc::invalid: no such image.
  Result<void> expect(size_t image) const;
  // The images, open for reading their disk, or for writing it.
  Result<const Container*> readable() const;
  Result<Container*> writable_container() const;
  const Container* container() const { return container_.get(); }

  Result<void> push(const OpenImage& image);
  Result<void> open_chain(const OpenImage& top);
  // Closes all for a while; change is called with nobody at the files, and is given the images to
  // change. After an error they are open as before; if not even that can be, none is.
  template <class Change>
  Result<void> closed(Change&& change) {
    const std::vector<OpenImage> before = images_;
    Result<void> done = shut();
    if (done) done = change(images_);
    if (done) done = open_again();
    if (done) return {};
    images_ = before;
    if (container_ == nullptr && !open_again()) images_.clear();
    return done;
  }
  // The flush's error, after which the disk is closed all the same.
  Result<void> shut();
  // The top image is gone from the list; the others are open as before, or none is.
  Result<void> pop();
  // As shut(), and nothing is left.
  Result<void> clear();

 private:
  Result<void> open_again();
  Result<std::unique_ptr<Container>> open_container(bool chain) const;
  Result<std::unique_ptr<Container>> open_as_asked(ContainerOptions options) const;
  Result<void> take(std::unique_ptr<Container> container);
  Result<void> expect_kind(const Container& container) const;

  const Kind kind_;
  std::vector<OpenImage> images_;
  std::unique_ptr<Container> container_;  // null: none is open
};

}  // namespace platter
