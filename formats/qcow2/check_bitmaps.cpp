#include "formats/qcow2/check_bitmaps.h"

#include "formats/qcow2/bitmaps.h"
#include "formats/qcow2/check_walk.h"
#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

// Specification, "Bitmap table": reserved bits of an entry with a cluster and of one without.
constexpr uint64_t kReservedOfBitmap = 0xff00'0000'0000'01ff;
constexpr uint64_t kAllOnes = 1;
constexpr uint64_t kPiece = 8192;  // entries read at once

// "Bitmap directory": what QEMU opens no image without.
constexpr uint8_t kDirtyTracking = 1;
constexpr uint32_t kReservedFlags = ~uint32_t{7};
constexpr uint8_t kMinGranularity = 9, kMaxGranularity = 31;

bool possible(const RawBitmapEntry& raw, const Header& header) {
  if (raw.type != kDirtyTracking || (raw.flags & kReservedFlags) != 0 || raw.table_size == 0 ||
      raw.name_size == 0 || raw.name_size > kMaxBitmapName ||
      raw.granularity_bits < kMinGranularity || raw.granularity_bits > kMaxGranularity) {
    return false;
  }
  const uint64_t bytes_a_bit = uint64_t{1} << raw.granularity_bits;
  return div_up(div_up(div_up(header.size, bytes_a_bit), 8), header.cluster_size()) <=
         raw.table_size;
}

class Bitmaps {
 public:
  Bitmaps(const File& file, const Header& header, const std::function<void(const Range&)>& hold,
          Findings* findings)
      : file_(file), header_(header), hold_(hold), findings_(findings), room_(header.file_size) {}

  Result<void> follow_directory() {
    const Table& directory = header_.bitmap_directory;
    const uint64_t size = directory.entries * sizeof(be64);
    hold_({directory.offset, size});
    const auto visit = [&](const BitmapEntry& entry) -> Result<bool> {
      if (!possible(entry.raw, header_)) {
        fault(entry.index, "its size, type, granularity or name cannot be right");
      }
      TRY(follow_table(entry.index, entry.raw));
      return true;
    };
    const auto cut = TRY(for_each_bitmap(file_, header_, visit));
    if (cut) fault(*cut, "past the end of the directory");
    return {};
  }

 private:
  void fault(uint32_t bitmap, const char* what) {
    if (findings_ != nullptr) findings_->add(Fault::bitmaps, "bitmap {}: {}", bitmap, what);
  }

  Result<void> follow_table(uint32_t bitmap, const RawBitmapEntry& raw) {
    const auto table = check_table("table", raw.table_offset, raw.table_size, header_);
    if (!table) {
      fault(bitmap, table.error().message().c_str());
      return {};
    }
    // Tables that overlap could make the way through them much longer than the file.
    if (table->entries * sizeof(be64) > room_) {
      fault(bitmap, "its table overlaps others");
      return {};
    }
    room_ -= table->entries * sizeof(be64);
    hold_({table->offset, table->entries * sizeof(be64)});
    for (uint64_t first = 0; first < table->entries; first += kPiece) {
      std::vector<be64> words(std::min(kPiece, table->entries - first));
      const auto bytes = std::as_writable_bytes(std::span(words));
      if (!TRY(read_table(file_, table->offset + first * sizeof(be64), bytes))) continue;
      for (const uint64_t word : words) take(bitmap, word);
    }
    return {};
  }

  void take(uint32_t bitmap, uint64_t word) {
    const uint64_t offset = word & kOffsetMask;
    const uint64_t reserved = offset == 0 ? kReservedOfBitmap & ~kAllOnes : kReservedOfBitmap;
    if ((word & reserved) != 0 || (offset & (header_.cluster_size() - 1)) != 0) {
      fault(bitmap, "an entry of its table has reserved bits set or is unaligned");
    } else if (offset >= header_.file_size) {
      fault(bitmap, "an entry of its table points past the end of the file");
    } else if (offset != 0) {
      hold_({offset, header_.cluster_size()});
    }
  }

  const File& file_;
  const Header& header_;
  const std::function<void(const Range&)>& hold_;
  Findings* findings_;
  uint64_t room_;
};

}  // namespace

Result<void> hold_bitmaps(const File& file, const Header& header,
                          const std::function<void(const Range&)>& hold, Findings* findings) {
  if (header.bitmaps == 0 || header.bitmap_directory.entries == 0) return {};
  return Bitmaps(file, header, hold, findings).follow_directory();
}

}  // namespace platter::qcow2
