// VdiDisk: a VDI opened for writing, perhaps over a parent, and what it reads as.
#pragma once

#include <optional>
#include <stdexcept>

#include "lib/container/writer.h"
#include "lib/image/registry.h"
#include "tests/support/vdi_builder.h"

namespace platter::test {

inline Result<ImagePtr> open_writable_vdi(const FilePtr& file, Epochs& epochs,
                                          bool info_only = false) {
  const auto denied = deny_resolver("a test image is alone");
  return find_format("vdi")->open({.file = file,
                                   .resolver = *denied,
                                   .tables = std::make_shared<PageCache>(MiB),
                                   .info_only = info_only,
                                   .writable = true,
                                   .epochs = &epochs});
}

class VdiDisk {
 public:
  explicit VdiDisk(const FilePtr& file, const Image* parent = nullptr) {
    auto opened = open_writable_vdi(file, epochs_);
    if (!opened) throw std::runtime_error(opened.error().message());
    image_ = *std::move(opened);
    std::vector<View::Layer> layers{{image_.get(), 0}};
    if (parent != nullptr) layers.push_back({parent, 0});
    layout_.emplace(epochs_, std::make_shared<const View>(std::move(layers), blocks_));
    writer_ = std::make_unique<Writer>(*layout_, *image_, WriterOptions{.flush_every_ms = 0});
  }
  Writer& writer() { return *writer_; }
  Image& image() { return *image_; }
  Result<void> fill(const Range& range, int value) {
    return writer_->write(range.offset, std::vector(range.length, static_cast<std::byte>(value)));
  }
  // The first byte of each block.
  std::vector<int> firsts() const {
    std::vector<int> list;
    const uint64_t step = image_->info().block_size;
    for (uint64_t at = 0; at < layout_->size(); at += step) list.push_back(byte_at(at));
    return list;
  }
  std::vector<std::byte> all() const {
    std::vector<std::byte> bytes(layout_->size());
    const auto done = layout_->live()->read(0, bytes);
    if (!done) throw std::runtime_error(done.error().message());
    return bytes;
  }
  int byte_at(uint64_t offset) const {
    std::byte value{};
    const auto done = layout_->live()->read(offset, MutableBytes(&value, 1));
    return done ? std::to_integer<int>(value) : -1;
  }

 private:
  Epochs epochs_;
  BlockCache blocks_{64 * KiB};
  ImagePtr image_;
  std::optional<Layout> layout_;
  std::unique_ptr<Writer> writer_;
};

// What a VDI reads as; a byte range whose read fails is left out. Empty: it does not open.
inline std::vector<std::byte> disk_of(const FilePtr& file) {
  auto image = open_vdi(file);
  if (!image) return {};
  BlockCache blocks{64 * KiB};
  const View view({{image->get(), 0}}, blocks);
  std::vector<std::byte> out(view.size());
  for (uint64_t at = 0; at < out.size(); at += 512) {
    (void)view.read(at, MutableBytes(out).subspan(at, std::min<uint64_t>(512, out.size() - at)));
  }
  return out;
}

inline uint32_t word_of(const File& file, uint64_t at) {
  const auto value = file.read_struct<le32>(at);
  return value ? uint32_t{*value} : 0xeeeeeeee;
}

inline std::vector<std::byte> bytes_of_file(const File& file) {
  std::vector<std::byte> out(file.stat()->size);
  (void)file.read_exact(0, out);
  return out;
}

inline CheckReport checked(const FilePtr& file) {
  CheckReport report;
  const auto image = open_vdi(file, true);
  if (!image || !(*image)->check(Repair::none, report)) report.corruption("it does not open");
  return report;
}

}  // namespace platter::test
