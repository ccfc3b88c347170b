#include "tests/support/sesparse_builder.h"

#include <algorithm>

#include "lib/base/checked.h"

namespace platter::test {
namespace {

constexpr uint64_t kSectorBytes = 512, kTableSectors = 64;

void put64(std::vector<std::byte>& out, uint64_t at, uint64_t value) {
  if (out.size() < at + 8) out.resize(at + 8);
  store(out, at, le64(value));
}

// Offset and size of a part, which stand side by side.
void put_part(std::vector<std::byte>& out, uint64_t at, uint64_t sector, uint64_t sectors) {
  put64(out, at, sector);
  put64(out, at + 8, sectors);
}

}  // namespace

uint64_t SeSparseBuilder::directory_sectors() const {
  return div_up(div_up(div_up(sectors, 8), kPerTable), 64);
}

std::vector<uint64_t> SeSparseBuilder::tables() const {
  std::vector<uint64_t> order = table_order;
  for (const auto& [grain, entry] : grains) {
    if (std::ranges::find(order, grain / kPerTable) == order.end())
      order.push_back(grain / kPerTable);
  }
  return order;
}

uint64_t SeSparseBuilder::grains_at() const {
  return align_up(tables_at() + kTableSectors * tables().size(), 8);
}

std::vector<std::byte> SeSparseBuilder::build() const {
  std::vector<std::byte> out(grains_at() * kSectorBytes);
  const std::vector<uint64_t> order = tables();
  const uint64_t fields[] = {0xcafebabe, 0x0000000200000001, sectors, 8, 64, 0};
  for (size_t i = 0; i < std::size(fields); ++i) put64(out, 8 * i, fields[i]);
  put_part(out, 80, kVolatile, 1);
  put_part(out, 96, 2, 1);
  put_part(out, 112, 3, 1);
  put_part(out, 128, kDirectory, directory_sectors());
  put_part(out, 144, tables_at(), kTableSectors * order.size());
  put_part(out, 192, grains_at(), 8 * uint64_t{stored_grains});
  put64(out, kVolatile * kSectorBytes, 0xcafecafe);
  for (size_t n = 0; n < order.size(); ++n) {
    put64(out, kDirectory * kSectorBytes + 8 * order[n], uint64_t{0x10000000} << 32 | n);
  }
  for (const auto& [grain, entry] : grains) {
    const auto n =
        static_cast<uint64_t>(std::ranges::find(order, grain / kPerTable) - order.begin());
    put64(out, (tables_at() + kTableSectors * n) * kSectorBytes + 8 * (grain % kPerTable), entry);
  }
  for (unsigned n = 0; n < stored_grains; ++n) {
    out.insert(out.end(), kGrain, static_cast<std::byte>(n + 1));
  }
  for (const auto& [at, value] : words) put64(out, at, value);
  if (file_size) out.resize(*file_size);
  return out;
}

std::shared_ptr<MemoryFile> SeSparseBuilder::file(const std::string& name) const {
  return std::make_shared<MemoryFile>(name, build());
}

}  // namespace platter::test
