#include "formats/vhd/sectors.h"

namespace platter::vhd {
namespace {

constexpr std::byte bit_of(uint64_t sector) {
  return std::byte{0x80} >> static_cast<unsigned>(sector % 8);
}

}  // namespace

SectorRun run_of(Bytes bitmap, uint64_t base, uint64_t from, uint64_t to) {
  const auto is_set = [&](uint64_t sector) {
    return (bitmap[(sector - base) / 8] & bit_of(sector)) != std::byte{0};
  };
  const bool set = is_set(from);
  const std::byte all = set ? std::byte{0xff} : std::byte{0};
  uint64_t sector = from + 1;
  while (sector < to) {
    if (sector % 8 == 0 && bitmap[(sector - base) / 8] == all) {
      sector += 8;
    } else if (is_set(sector) == set) {
      ++sector;
    } else {
      break;
    }
  }
  return {set, std::min(sector, to) - from};
}

void set_bits(MutableBytes bitmap, uint64_t from, uint64_t to) {
  for (uint64_t sector = from; sector < to;) {
    if (sector % 8 == 0 && to - sector >= 8) {
      bitmap[sector / 8] = std::byte{0xff};
      sector += 8;
    } else {
      bitmap[sector / 8] |= bit_of(sector);
      ++sector;
    }
  }
}

}  // namespace platter::vhd
