#include "lib/base/crc32c.h"

#include <array>

#include "lib/base/endian.h"

namespace platter {
namespace {

constexpr uint32_t kCastagnoli = 0x82f63b78;  // its bits reversed

using CrcTable = std::array<uint32_t, 256>;

// Table k: what a byte does to the checksum when k more bytes come behind it, so that eight bytes
// are looked up side by side.
constexpr std::array<CrcTable, 8> kCrcTables = [] {
  std::array<CrcTable, 8> tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kCastagnoli : 0);
    tables[0][i] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t i = 0; i < 256; ++i) {
      const uint32_t crc = tables[k - 1][i];
      tables[k][i] = (crc >> 8) ^ tables[0][crc & 0xff];
    }
  }
  return tables;
}();

}  // namespace

uint32_t crc32c(Bytes bytes, uint32_t before) {
  uint32_t crc = ~before;
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
    const uint64_t word = load<le64>(bytes) ^ crc;
    crc = 0;
    for (size_t k = 0; k < 8; ++k) crc ^= kCrcTables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (const std::byte b : bytes) {
    crc = (crc >> 8) ^ kCrcTables[0][(crc ^ std::to_integer<uint32_t>(b)) & 0xff];
  }
  return ~crc;
}

}  // namespace platter
