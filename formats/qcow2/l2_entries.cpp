#include "formats/qcow2/l2_entries.h"

#include <algorithm>

namespace platter::qcow2 {

L2Entry L2Entries::operator[](uint64_t i) const {
  const uint64_t at = i << entry_bits_;
  L2Entry entry{.word = load<be64>(bytes_, at)};
  if (entry_bits_ == 4) entry.bitmap = load<be64>(bytes_, at + sizeof(be64));
  return entry;
}

void L2Entries::set(uint64_t i, const L2Entry& entry) {
  const uint64_t at = i << entry_bits_;
  store(bytes_, at, be64(entry.word));
  if (entry_bits_ == 4) store(bytes_, at + sizeof(be64), be64(entry.bitmap));
  changed_ = hull(changed_, {at, uint64_t{1} << entry_bits_});
}

Result<std::vector<L2Entry>> read_entries(const PageTable& tables, const L2Shape& shape,
                                          uint64_t l2, uint64_t index, size_t count) {
  std::vector<std::byte> raw(count << shape.entry_bits());
  TRY(tables.read(l2 + (index << shape.entry_bits()), MutableBytes(raw)));
  const L2Entries there(raw, shape.entry_bits());
  std::vector<L2Entry> entries(count);
  for (size_t i = 0; i < count; ++i) entries[i] = there[i];
  return entries;
}

std::vector<std::byte> raw_entries(const L2Shape& shape, std::span<const L2Entry> entries) {
  std::vector<std::byte> raw(entries.size() << shape.entry_bits());
  L2Entries there(raw, shape.entry_bits());
  for (size_t i = 0; i < entries.size(); ++i) there.set(i, entries[i]);
  return raw;
}

}  // namespace platter::qcow2
