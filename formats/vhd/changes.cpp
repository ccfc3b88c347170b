// A write to sectors nobody has written takes a place for their block, if it has none, puts a
// bitmap there, fills the sectors, and then sets their bits and points the table at the block.
//
// In a dynamic disk a new bitmap says that all sectors are there, and the others are zero: whoever
// looks at the bits and whoever does not read the same. In a differencing disk it says that none
// is: the bits are pointers of their own.
//
// On disk: guest data and the bitmaps of new blocks first, one sync, then the table and the bits
// that were set, one sync. A crash between them leaks blocks, or leaves a new block in which some
// sectors are still the parent's. A new block at the end of the file needs the footer moved first
// (block_space.h). A discard punches the sectors out of the host file and keeps the block.
#include "formats/vhd/changes.h"

#include <algorithm>

#include "formats/vhd/footer.h"
#include "formats/vhd/mend.h"
#include "formats/vhd/sectors.h"
#include "formats/vhd/table_scan.h"

namespace platter::vhd {
namespace {

// Pages of the tables that may wait in memory: a flush is due before a crash could cost more.
constexpr uint64_t kMaxWaiting = 4 * MiB;

}  // namespace

Changes::Changes(FilePtr file, const Parsed& parsed, std::shared_ptr<PageCache> tables,
                 PageTable& pointers)
    : file_(std::move(file)),
      parsed_(parsed),
      tables_(std::move(tables)),
      pointers_(pointers),
      space_(file_, sealed(parsed.footer), parsed.stride()),
      second_(space_, pointers_),
      order_({file_}, file_, {&space_, &second_}) {
  space_.set_tail(parsed.data_end);
}

Result<void> Changes::check_supported(const Parsed& parsed, bool to_repair) {
  if (parsed.footer.saved_state != 0) {
    return Error(Errc::unsupported,
                 "footer: the disk belongs to the saved state of a machine: only read");
  }
  if (to_repair) return {};
  if (!parsed.footer_sound || !parsed.header_sound) {
    return Error(Errc::read_only,
                 "the headers' checksums are wrong: it is only read until it is repaired");
  }
  if (parsed.type == Type::fixed) return {};
  if (parsed.table_offset % kSector != 0 || parsed.header_offset % kSector != 0) {
    return Error(Errc::unsupported, "its headers do not begin at sectors: only read");
  }
  return {};
}

Result<void> Changes::begin() {
  const MutexLock once(begin_);
  if (begun_) return {};
  TableScan scan = TRY(scan_table(*file_, parsed_));
  TRY(scan.expect_sound());
  space_.start(std::move(scan.gaps), TRY(mend_footers(*file_, parsed_)));
  begun_ = true;
  return {};
}

Result<uint32_t> Changes::entry_of(uint64_t block) const {
  return uint32_t{TRY(pointers_.read<be32>(parsed_.table_offset + 4 * block))};
}

Result<Reservation> Changes::reserve(const Range& want) {
  const uint64_t block = want.offset / parsed_.block_size;
  const uint32_t entry = TRY(entry_of(block));
  if (entry == kUnused) return reserve_new(want);
  const uint64_t start = block * parsed_.block_size;
  const Range covers = intersect(align_out(want, kSector), {start, parsed_.block_size});
  const uint64_t host = entry * kSector + parsed_.bitmap_size();
  return Reservation{.covers = covers, .file = file_.get(), .host = host + (covers.offset - start)};
}

Result<Reservation> Changes::reserve_new(const Range& want) {
  const BlockSpace::Place place = TRY(space_.take());
  Result<void> done = write_bitmap(place.offset);
  if (!done) {
    space_.give_back(place.offset);
    return std::move(done.error());
  }
  const Range block = align_out({want.offset, 1}, parsed_.block_size);
  const bool child = parsed_.type == Type::differencing;
  const Range covers = child ? intersect(align_out(want, kSector), block) : block;
  return Reservation{.covers = covers,
                     .file = file_.get(),
                     .host = place.offset + parsed_.bitmap_size() + (covers.offset - block.offset),
                     .cookie = place.offset,
                     .zeroed = place.zeroed};
}

// It is on the disk before the table points at it, and in memory what the bits are set in.
Result<void> Changes::write_bitmap(uint64_t offset) {
  const auto all = parsed_.type == Type::differencing ? std::byte{0} : std::byte{0xff};
  const std::vector<std::byte> bitmap(parsed_.bitmap_size(), all);
  TRY(file_->write(offset, bitmap));
  pointers_.replace(offset, bitmap);
  return {};
}

Result<void> Changes::set_bits_of(uint64_t offset, const Range& sectors) {
  const uint64_t end = div_up(sectors.end(), kSector);
  for (uint64_t sector = sectors.offset / kSector; sector < end;) {
    // Of the bytes in one sector of the bitmap.
    const uint64_t base = sector / 8 * 8;
    const uint64_t unit_end = (base / (8 * kSector) + 1) * (8 * kSector);
    const uint64_t to = std::min(end, unit_end);
    std::vector<std::byte> bits(div_up(to, 8) - base / 8);
    TRY(pointers_.read(offset + base / 8, bits));
    set_bits(bits, sector - base, to - base);
    TRY(pointers_.store(offset + base / 8, bits));
    sector = to;
  }
  return {};
}

Result<void> Changes::publish(const Reservation& r) {
  const uint64_t block = r.covers.offset / parsed_.block_size;
  const bool fresh = r.cookie != 0;
  const uint64_t offset = fresh ? r.cookie : TRY(entry_of(block)) * kSector;
  if (!fresh || parsed_.type == Type::differencing) {
    TRY(set_bits_of(offset, {r.covers.offset - block * parsed_.block_size, r.covers.length}));
  }
  if (!fresh) return {};
  const be32 sector(static_cast<uint32_t>(offset / kSector));
  return pointers_.store(parsed_.table_offset + 4 * block, sector);
}

void Changes::abandon(const Reservation& r) noexcept {
  if (r.cookie != 0) space_.give_back(r.cookie);
}

Result<void> Changes::flush(bool wrote_data) {
  if (!wrote_data && pointers_.dirty_bytes() == 0) return {};
  return order_.flush();
}

bool Changes::wants_flush() const { return pointers_.dirty_bytes() > kMaxWaiting; }

}  // namespace platter::vhd
