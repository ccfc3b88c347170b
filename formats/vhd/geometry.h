// How large a VHD's disk is, and the cylinders, heads and sectors that say so to some programs.
#pragma once

#include <string_view>

#include "formats/vhd/layout.h"

namespace platter::vhd {

// The geometry by which every reader takes the size that the footer has in bytes.
inline constexpr uint16_t kMaxCylinders = 65535;
inline constexpr uint8_t kMaxHeads = 16, kMaxSectors = 255;

constexpr uint64_t bytes_of(const DiskGeometry& g) {
  return uint64_t{g.cylinders} * g.heads * g.sectors * kSector;
}
constexpr bool is_largest(const DiskGeometry& g) {
  return g.cylinders == kMaxCylinders && g.heads == kMaxHeads && g.sectors == kMaxSectors;
}

// "CHS Calculation" of the specification: at most as large as the disk.
DiskGeometry geometry_for(uint64_t disk_size);

// Virtual PC, Virtual Server and QEMU show what the geometry says, everybody else current_size.
bool size_is_geometrys(const Footer& footer);

// Of the disk as its creator shows it, bytes: a multiple of a sector, when current_size is one.
uint64_t disk_size(const Footer& footer);

// Gives the footer this size, by which whoever reads it goes. size: a multiple of a sector.
void set_disk_size(Footer& footer, uint64_t size);

}  // namespace platter::vhd
