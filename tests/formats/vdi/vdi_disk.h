// VdiDisk: a VDI opened for writing, perhaps over a parent, and what it reads as.
#pragma once

#include "lib/image/registry.h"
#include "tests/support/open_disk.h"
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

class VdiDisk : public OpenDisk {
 public:
  explicit VdiDisk(const FilePtr& file, const Image* parent = nullptr)
      : OpenDisk([&](Epochs& epochs) { return open_writable_vdi(file, epochs); }, parent) {}
  // The first byte of each block.
  std::vector<int> firsts() {
    std::vector<int> list;
    const uint64_t step = image().info().block_size;
    for (uint64_t at = 0; at < layout().size(); at += step) list.push_back(byte_at(at));
    return list;
  }
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
