// VhdxDisk: a VHDX opened for writing, perhaps over a parent, and what its file has.
#pragma once

#include "lib/image/registry.h"
#include "tests/support/open_disk.h"
#include "tests/support/vhdx_builder.h"

namespace platter::test {

inline Result<ImagePtr> open_writable_vhdx(const FilePtr& file, Epochs& epochs,
                                           bool info_only = false) {
  const auto denied = deny_resolver("a test image is alone");
  return find_format("vhdx")->open({.file = file,
                                    .resolver = *denied,
                                    .tables = std::make_shared<PageCache>(MiB),
                                    .info_only = info_only,
                                    .writable = true,
                                    .epochs = &epochs});
}

class VhdxDisk : public OpenDisk {
 public:
  explicit VhdxDisk(const FilePtr& file, const Image* parent = nullptr,
                    WriterOptions options = {.flush_every_ms = 0})
      : OpenDisk([&](Epochs& epochs) { return open_writable_vhdx(file, epochs); }, parent,
                 options) {}
};

inline uint64_t vhdx_word(const File& file, uint64_t at) {
  const auto value = file.read_struct<le64>(at);
  return value ? uint64_t{*value} : ~uint64_t{0};
}
// An entry of the BAT, where the builder puts it.
inline uint64_t vhdx_entry(const File& file, uint64_t index) {
  return vhdx_word(file, VhdxBuilder::kBat + 8 * index);
}

// Of a disk whose every byte can be read.
inline std::vector<std::byte> vhdx_contents(const FilePtr& file, const Image* parent = nullptr) {
  const auto image = open_vhdx(file);
  if (!image) return {};
  BlockCache blocks{64 * KiB};
  std::vector<View::Layer> layers{{image->get(), 0}};
  if (parent != nullptr) layers.push_back({parent, 0});
  const View view(std::move(layers), blocks);
  std::vector<std::byte> out(view.size());
  if (!view.read(0, out)) return {};
  return out;
}

inline CheckReport vhdx_checked(const FilePtr& file, Repair how = Repair::none) {
  Epochs epochs;
  CheckReport report;
  const auto image =
      how == Repair::none ? open_vhdx(file, true) : open_writable_vhdx(file, epochs, true);
  if (!image) {
    report.corruption(image.error().message());
    return report;
  }
  const auto done = (*image)->check(how, report);
  if (!done) report.corruption(done.error().message());
  return report;
}

}  // namespace platter::test
