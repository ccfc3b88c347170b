// A block is free, zero or a number. A write to a free or zero block takes the lowest number no
// entry has (never the header's word for it, which may be too small after a crash of another
// program: the map is looked through before the first change), fills that block, and then points
// the entry at it. Blocks that a crash leaked are used again that way. A block at the file's end is
// made by growing the file: what stays zero of it is not written. A discard punches the block's
// bytes out of the host file and keeps the number: VDI wants its blocks dense, and programs that
// append by the header's count would take a gap for free space.
//
// A resize that was cut short may have left blocks of higher numbers than the header can count, and
// free numbers below: then the highest of these is taken, and the count stays (map_scan.h).
//
// On disk: data and the header's count first, one sync, then the map, one sync. A crash between
// them leaks blocks. The modification UUID changes once before the first byte, and again with each
// flush that has something new.
#include "formats/vdi/changes.h"

#include <fmt/format.h>

namespace platter::vdi {
namespace {

// Pages of the map that may wait in memory: a flush is due before a crash could cost more.
constexpr uint64_t kMaxWaiting = 4 * MiB;

constexpr uint64_t kModificationAt = sizeof(PreHeader) + offsetof(Header1, modification_uuid);

struct UuidField {
  DiskUuid bytes;
};

Error all_in_use() { return Error(Errc::corrupt, "block map: all blocks are in use"); }

uint64_t whole_blocks_in(const Parsed& header, uint64_t file_size) {
  const uint64_t data = file_size - std::min(file_size, header.data_offset);
  return std::min<uint64_t>(data / header.stride(), kZero);
}

}  // namespace

Changes::Changes(FilePtr file, const Parsed& header, std::shared_ptr<PageCache> tables,
                 PageTable& map)
    : file_(std::move(file)),
      header_(header),
      map_(map),
      fields_(file_, {0, sizeof(PreHeader) + kMinHeaderSize}, std::move(tables)),
      order_({file_}, file_, {&fields_, &map_}),
      whole_blocks_(whole_blocks_in(header, header.file_size)),
      count_(header.blocks_allocated) {}

Result<void> Changes::check_supported(const Parsed& header) {
  if (header.major == 0) return Error(Errc::unsupported, "a VDI of version 0.x is only read");
  if (header.type == Type::undo) return Error(Errc::unsupported, "an undo image is only read");
  if (header.map_offset % sizeof(le32) != 0) {
    return Error(Errc::unsupported,
                 fmt::format("the block map at {} is not aligned: only read", header.map_offset));
  }
  return {};
}

Result<void> Changes::begin() {
  const MutexLock once(begin_);
  if (begun_) return {};
  MapScan scan = TRY(scan_map(*file_, header_));
  TRY(scan.expect_sound());
  const uint64_t end = scan.in_use.end();
  // The last block may be short; from here on it is whole.
  const uint64_t needed = header_.data_offset + end * header_.stride();
  if (scan.file_size < needed) TRY(file_->resize(needed));
  whole_blocks_ = std::max(whole_blocks_.load(), end);
  {
    const MutexLock lock(mutex_);
    if (scan.overwritten_by(header_, count_)) TRY(say_count(scan.safe_count(header_)));
    in_use_ = std::move(scan.in_use);
    next_ = beyond_the_count() ? header_.blocks : 0;
    file_end_ = std::max(scan.file_size, needed);
  }
  TRY(new_modification_uuid());
  TRY(order_.flush());
  begun_ = true;
  return {};
}

Result<void> Changes::new_modification_uuid() {
  return fields_.store(kModificationAt, UuidField{Uuid::random().to_microsoft()});
}

Result<void> Changes::say_count(uint64_t count) {
  TRY(fields_.store(kCountAt, le32(static_cast<uint32_t>(count))));
  count_ = count;
  return {};
}

// Blocks that lie in the file may hold what leaked or was cut off. A file that cannot be made
// longer says why when it is written to.
bool Changes::append(uint64_t number) {
  const uint64_t start = header_.data_offset + number * header_.stride();
  if (start < file_end_ || !file_->resize(start + header_.stride())) return false;
  file_end_ = start + header_.stride();
  return true;
}

Result<Changes::Taken> Changes::take() {
  const MutexLock lock(mutex_);
  if (!abandoned_.empty()) {
    const uint32_t number = abandoned_.back();
    abandoned_.pop_back();
    return Taken{number};
  }
  if (beyond_the_count()) return Taken{TRY(take_from_above())};
  uint64_t number = next_;
  while (in_use_.contains(number)) ++number;
  // No more blocks can be in use than there are entries, and who asks has an entry without one.
  if (number >= header_.blocks) return all_in_use();
  if (number >= count_) TRY(say_count(number + 1));
  next_ = number + 1;
  return Taken{static_cast<uint32_t>(number), append(number)};
}

// As far from what other programs append as can be, so that the count can stay.
Result<uint32_t> Changes::take_from_above() {
  while (next_ != 0 && in_use_.contains(next_ - 1)) --next_;
  if (next_ == 0) return all_in_use();
  return static_cast<uint32_t>(--next_);
}

Result<Reservation> Changes::reserve(const Range& want) {
  const Taken taken = TRY(take());
  return Reservation{.covers = {align_down(want.offset, header_.block_size), header_.block_size},
                     .file = file_.get(),
                     .host = header_.host_of(taken.number),
                     .cookie = taken.number,
                     .zeroed = taken.zeroed};
}

Result<void> Changes::point(uint64_t block, uint32_t value) {
  return map_.store(header_.map_offset + 4 * block, le32(value));
}

Result<void> Changes::publish(const Reservation& r) {
  // The block is in the file to its last byte.
  uint64_t whole = whole_blocks_.load();
  while (whole <= r.cookie && !whole_blocks_.compare_exchange_weak(whole, r.cookie + 1)) {
  }
  return point(r.covers.offset / header_.block_size, static_cast<uint32_t>(r.cookie));
}

void Changes::abandon(const Reservation& r) noexcept {
  const MutexLock lock(mutex_);
  abandoned_.push_back(static_cast<uint32_t>(r.cookie));
}

Result<void> Changes::point_at_zero(uint64_t block) { return point(block, kZero); }

Result<void> Changes::flush(bool wrote_data) {
  if (!wrote_data && map_.dirty_bytes() == 0 && fields_.dirty_bytes() == 0) return {};
  TRY(new_modification_uuid());
  return order_.flush();
}

bool Changes::wants_flush() const { return map_.dirty_bytes() > kMaxWaiting; }

}  // namespace platter::vdi
