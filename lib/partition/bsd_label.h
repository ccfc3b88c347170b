// The disk label of the BSDs: of a whole disk, or of one partition ("slice") of an MBR.
#pragma once

#include "lib/partition/mbr.h"

namespace platter {

class TableBuilder;

// sys/disklabel.h of FreeBSD, NetBSD and OpenBSD, which agree on what is named here; little-endian
// as on the machines that have an MBR.
struct BsdEntry {
  le32 length;  // in sectors of the label's size
  le32 start;
  le16 start_high, length_high;  // OpenBSD's version 1; else a fragment's size
  uint8_t type = 0;              // 0: unused
  uint8_t fragments = 0;
  le16 cylinders;
};
static_assert(sizeof(BsdEntry) == 16);

struct BsdLabel {
  static constexpr size_t kMaxEntries = 22;
  le32 magic;
  std::array<std::byte, 36> names = {};
  le32 sector_size;  // bytes
  std::array<std::byte, 70> geometry = {};
  le16 version;  // 1: OpenBSD's of more than 2^32 sectors
  std::array<std::byte, 16> spare = {};
  le32 magic_again;
  le16 checksum;  // the exclusive or of all 16-bit words, with those of count entries, is 0
  le16 count;
  std::array<std::byte, 8> block_sizes = {};
  std::array<BsdEntry, kMaxEntries> entries = {};
};
static_assert(sizeof(BsdLabel) == 500 && DiskStruct<BsdLabel>);

inline constexpr uint32_t kBsdMagic = 0x82564557;

// The types of an MBR's entries that have one.
bool may_have_bsd_label(const MbrEntry& entry);

// A disk with a label and no other table: partition a has number 1. Empty: there is no label. Read
// errors only. Thread safe.
Result<std::optional<PartitionTable>> read_bsd_label(const View& view);

// Adds the partitions of the label in a slice, in bytes, with numbers from number on, which is
// moved; a partition that is the slice itself is not added again. A slice without a label adds
// none.
Result<void> add_bsd_slice(const View& view, const Range& slice, TableBuilder& table,
                           unsigned& number);

}  // namespace platter
