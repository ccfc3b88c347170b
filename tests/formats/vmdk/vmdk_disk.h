// VmdkDisk: a VMDK opened for writing, perhaps over a parent, and what it reads as.
#pragma once

#include "tests/support/open_disk.h"
#include "tests/support/vmdk_builder.h"

namespace platter::test {

class VmdkDisk : public OpenDisk {
 public:
  explicit VmdkDisk(const FilePtr& file, const Image* parent = nullptr,
                    const std::map<std::string, FilePtr>& others = {})
      : OpenDisk([&](Epochs& epochs) { return open_writable_vmdk(file, epochs, others); }, parent) {
  }
};

inline constexpr uint64_t kVmdkMark = 72;  // the header's mark of a writer

inline int vmdk_mark(const File& file) {
  std::byte mark{};
  return file.read_exact(kVmdkMark, MutableBytes(&mark, 1)) ? std::to_integer<int>(mark) : -1;
}

// Entries of both tables, from the first on.
inline std::vector<uint32_t> vmdk_entries(const File& file, uint64_t table, size_t count) {
  std::vector<uint32_t> entries;
  for (size_t i = 0; i < count; ++i) entries.push_back(word_at(file, table + 4 * i));
  return entries;
}

}  // namespace platter::test
