// The entries of an L2 table in memory or in a cached table.
#pragma once

#include <span>
#include <vector>

#include "formats/qcow2/l2.h"
#include "lib/image/page_table.h"

namespace platter::qcow2 {

// All of a table, or some entries in a row, as they are in the file.
class L2Entries {
 public:
  L2Entries(MutableBytes bytes, uint32_t entry_bits) : bytes_(bytes), entry_bits_(entry_bits) {}
  uint64_t size() const { return bytes_.size() >> entry_bits_; }
  L2Entry operator[](uint64_t i) const;
  void set(uint64_t i, const L2Entry& entry);
  // Bytes of the table that hold all that was set.
  Range changed() const { return changed_; }

 private:
  MutableBytes bytes_;
  uint32_t entry_bits_;
  Range changed_;
};

// count entries of the table at l2 (bytes) from index on.
Result<std::vector<L2Entry>> read_entries(const PageTable& tables, const L2Shape& shape,
                                          uint64_t l2, uint64_t index, size_t count);
// As they stand in a table.
std::vector<std::byte> raw_entries(const L2Shape& shape, std::span<const L2Entry> entries);

}  // namespace platter::qcow2
