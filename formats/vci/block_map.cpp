#include "formats/vci/block_map.h"

namespace platter::vci {
namespace {

void mark(MutableBytes bits, uint64_t first, uint64_t count) {
  for (uint64_t n = first; n < first + count; ++n) bits[n / 8] |= std::byte{1} << (n % 8);
}

uint64_t table_blocks(const Shape& shape, uint64_t nodes) {
  return shape.root + nodes * kNodeBlocks;
}

}  // namespace

uint64_t table_bytes(const Shape& shape, uint64_t nodes) {
  return table_blocks(shape, nodes) * kBlock;
}

std::vector<std::byte> encode_map(const Shape& shape, uint64_t nodes,
                                  const std::vector<CachedLine>& lines) {
  constexpr uint64_t kLineBlocks = kCacheLine / kBlock;
  std::vector<std::byte> out(shape.map_blocks * kBlock);
  const uint64_t tables = table_blocks(shape, nodes), data = lines.size() * kLineBlocks;
  store(out, 0,
        MapHeader{.magic = kMapMagic,
                  .version = kVersion,
                  .blocks = shape.blocks,
                  .free = shape.blocks - tables - data,
                  .tables = tables,
                  .data = data});
  const MutableBytes bits = MutableBytes(out).subspan(sizeof(MapHeader));
  mark(bits, 0, tables);
  const uint64_t first = shape.places.first_slot / kBlock;
  for (const CachedLine& line : lines) mark(bits, first + line.slot * kLineBlocks, kLineBlocks);
  return out;
}

}  // namespace platter::vci
