// VhdDisk: a VHD opened for writing, perhaps over a parent, and what it reads as.
#pragma once

#include "lib/image/registry.h"
#include "tests/support/open_disk.h"
#include "tests/support/vhd_builder.h"

namespace platter::test {

inline Result<ImagePtr> open_writable_vhd(const FilePtr& file, Epochs& epochs,
                                          bool info_only = false) {
  const auto denied = deny_resolver("a test image is alone");
  return find_format("vhd")->open({.file = file,
                                   .resolver = *denied,
                                   .tables = std::make_shared<PageCache>(MiB),
                                   .info_only = info_only,
                                   .writable = true,
                                   .epochs = &epochs});
}

// What most tests have.
inline constexpr uint64_t kVhdBlock = 4096;

class VhdDisk : public OpenDisk {
 public:
  explicit VhdDisk(const FilePtr& file, const Image* parent = nullptr)
      : OpenDisk([&](Epochs& epochs) { return open_writable_vhd(file, epochs); }, parent) {}
};

// The first byte of each sector of what a VHD reads as, over a parent or none; -1: cannot be read.
inline std::vector<int> sectors_of_vhd(const FilePtr& file, const Image* parent = nullptr) {
  auto image = open_vhd(file);
  if (!image) return {};
  BlockCache blocks{64 * KiB};
  std::vector<View::Layer> layers{{image->get(), 0}};
  if (parent != nullptr) layers.push_back({parent, 0});
  const View view(std::move(layers), blocks);
  std::vector<int> list;
  for (uint64_t at = 0; at < view.size(); at += 512) {
    std::byte value{};
    const auto done = view.read(at, MutableBytes(&value, 1));
    list.push_back(done ? std::to_integer<int>(value) : -1);
  }
  return list;
}

// Of each block.
inline std::vector<int> firsts_of_vhd(const FilePtr& file, uint64_t block_size,
                                      const Image* parent = nullptr) {
  const std::vector<int> sectors = sectors_of_vhd(file, parent);
  std::vector<int> list;
  for (size_t i = 0; i < sectors.size(); i += block_size / 512) list.push_back(sectors[i]);
  return list;
}

inline uint32_t vhd_word(const File& file, uint64_t at) {
  const auto value = file.read_struct<be32>(at);
  return value ? uint32_t{*value} : 0xeeeeeeee;
}

inline std::vector<std::byte> bytes_of_vhd(const File& file) {
  std::vector<std::byte> out(file.stat()->size);
  (void)file.read_exact(0, out);
  return out;
}

inline CheckReport check_vhd(const FilePtr& file, Repair how = Repair::none) {
  CheckReport report;
  Epochs epochs;
  const auto image =
      how == Repair::none ? open_vhd(file, true) : open_writable_vhd(file, epochs, true);
  const Result<void> done = image ? (*image)->check(how, report) : Result<void>(image.error());
  if (!done) report.corruption(done.error().message());
  return report;
}

// A resize as the tool does it.
inline Result<void> resize_vhd(const FilePtr& file, uint64_t size) {
  Epochs epochs;
  const ImagePtr image = TRY(open_writable_vhd(file, epochs));
  return image->resize(size);
}

}  // namespace platter::test
