#include "formats/vhd/geometry.h"

#include <algorithm>

namespace platter::vhd {
namespace {

constexpr std::array<std::string_view, 3> kByGeometry = {"vpc ", "vs  ", "qemu"};

}  // namespace

// All divisions round down, as they do in the specification.
DiskGeometry geometry_for(uint64_t disk_size) {
  const uint64_t most = uint64_t{kMaxCylinders} * kMaxHeads * kMaxSectors;
  const uint64_t total = std::min(disk_size / kSector, most);
  uint64_t heads = 16, sectors = 255;
  if (total < uint64_t{kMaxCylinders} * 16 * 63) {
    sectors = 17;
    heads = std::max<uint64_t>(4, (total / 17 + 1023) / 1024);
    if (total / 17 >= heads * 1024 || heads > 16) {
      sectors = 31;
      heads = 16;
      if (total / 31 >= heads * 1024) sectors = 63;
    }
  }
  return {.cylinders = static_cast<uint16_t>(total / sectors / heads),
          .heads = static_cast<uint8_t>(heads),
          .sectors = static_cast<uint8_t>(sectors)};
}

bool size_is_geometrys(const Footer& footer) {
  const std::string_view creator(footer.creator.data(), footer.creator.size());
  return std::ranges::find(kByGeometry, creator) != kByGeometry.end() &&
         !is_largest(footer.geometry) && bytes_of(footer.geometry) != 0;
}

uint64_t disk_size(const Footer& footer) {
  const uint64_t current = footer.current_size;
  return size_is_geometrys(footer) ? std::min(bytes_of(footer.geometry), current) : current;
}

void set_disk_size(Footer& footer, uint64_t size) {
  footer.current_size = size;
  footer.geometry = geometry_for(size);
  if (bytes_of(footer.geometry) != size && disk_size(footer) != size) {
    footer.geometry = {kMaxCylinders, kMaxHeads, kMaxSectors};
  }
  // Too small for a cylinder: what such a geometry says is no size.
  if (bytes_of(footer.geometry) == 0) footer.geometry = {kMaxCylinders, kMaxHeads, kMaxSectors};
}

}  // namespace platter::vhd
