// OpenDisk: an image opened for writing, perhaps over a parent, and what it reads as.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include "lib/container/writer.h"

namespace platter::test {

// Throws when the image does not open, or cannot be read.
class OpenDisk {
 public:
  using Open = std::function<Result<ImagePtr>(Epochs&)>;
  explicit OpenDisk(const Open& open, const Image* parent = nullptr,
                    WriterOptions options = {.flush_every_ms = 0}) {
    Result<ImagePtr> opened = open(epochs_);
    if (!opened) throw std::runtime_error(opened.error().message());
    image_ = *std::move(opened);
    std::vector<View::Layer> layers{{image_.get(), 0}};
    if (parent != nullptr) layers.push_back({parent, 0});
    layout_.emplace(epochs_, std::make_shared<const View>(std::move(layers), blocks_));
    writer_ = std::make_unique<Writer>(*layout_, *image_, options);
  }
  Writer& writer() { return *writer_; }
  Image& image() { return *image_; }
  const Layout& layout() const { return *layout_; }
  const View& view() const { return *layout_->live(); }

  Result<void> fill(const Range& range, int value) {
    return writer_->write(range.offset, std::vector(range.length, static_cast<std::byte>(value)));
  }
  // The whole disk, or a snapshot of it without its parent.
  std::vector<std::byte> all() const { return read(view()); }
  std::vector<std::byte> all(SnapshotId snapshot) {
    return read(View({{image_.get(), snapshot}}, blocks_));
  }
  // -1: it cannot be read.
  int byte_at(uint64_t offset) const {
    std::byte value{};
    const auto done = view().read(offset, MutableBytes(&value, 1));
    return done ? std::to_integer<int>(value) : -1;
  }

 private:
  static std::vector<std::byte> read(const View& view) {
    std::vector<std::byte> bytes(view.size());
    const Result<void> done = view.read(0, bytes);
    if (!done) throw std::runtime_error(done.error().message());
    return bytes;
  }

  Epochs epochs_;
  BlockCache blocks_{64 * KiB};
  ImagePtr image_;
  std::optional<Layout> layout_;
  std::unique_ptr<Writer> writer_;
};

}  // namespace platter::test
