// A write to a block that has no place takes one, fills it, and then points the entry at it: of a
// disk without a parent the whole block, of a child the sectors that are written, whose bits are
// set then, too; once all of them are, the block is the child's own. Blocks are put at the end of
// the file, which makes their bytes zero, or where one was given up, since or before: the BAT is
// looked through before the first change. Nothing a parent shows is ever let through by a zero or a
// discard: the entry says "zero", and the place goes into quarantine.
//
// On disk: guest bytes, one sync, then BAT and bitmaps in one change of the journal (journal.cpp).
// A crash between them leaks blocks. Where bitmaps are too many for that they go first: the bits of
// a block say nothing before its entry does, and those of one that is there already stand for
// sectors that are durable. Both write GUIDs change once before the first byte.
#include "formats/vhdx/changes.h"

#include <algorithm>

#include <fmt/format.h>

namespace platter::vhdx {
namespace {

// Pages that may wait in memory: a flush is due before a crash could cost more, and has to be
// before the BAT's do not fit one change.
constexpr uint64_t kManyPages = 128, kMostOfTheBat = 200;
static_assert(kMostOfTheBat < Journal::kMostPages);

// Reservation::cookie.
enum Taken : uint64_t {
  kNothing,      // it is there, and has the place
  kNewBlock,     // a place was taken for a whole block
  kNewSectors,   // a place was taken for the first sectors of a block
  kKeptBlock,    // the whole block, in the place that was kept for it
  kMoreSectors,  // in the place that the block has
};

}  // namespace

Table::Pages JournaledTables::take_dirty() {
  file_size_ = space_.file_end();
  // Bits change before the entry that makes them count does.
  Pages pages = map_.bat().take_dirty();
  Pages bitmaps = map_.bitmaps().take_dirty();
  pages.insert(pages.end(), std::make_move_iterator(bitmaps.begin()),
               std::make_move_iterator(bitmaps.end()));
  return pages;
}

JournaledTables::Split JournaledTables::split(const Pages& pages) const {
  Split parts;
  for (const Page& page : pages) {
    (bat_.contains(page.offset) ? parts.bat : parts.bitmaps).push_back(page);
  }
  return parts;
}

Result<void> JournaledTables::write(const Pages& pages) {
  if (pages.size() <= Journal::kMostPages) return journal_.commit(pages, file_size_);
  const Split parts = split(pages);
  for (size_t done = 0; done < parts.bitmaps.size(); done += Journal::kMostPages) {
    const auto from = parts.bitmaps.begin() + static_cast<long>(done);
    const size_t n = std::min(Journal::kMostPages, parts.bitmaps.size() - done);
    TRY(journal_.commit({from, from + static_cast<long>(n)}, file_size_));
    TRY(file_->sync());
  }
  return parts.bat.empty() ? Result<void>() : journal_.commit(parts.bat, file_size_);
}

void JournaledTables::written(const Pages& pages) {
  const Split parts = split(pages);
  map_.bat().written(parts.bat);
  map_.bitmaps().written(parts.bitmaps);
}

void JournaledTables::put_back(const Pages& pages) {
  const Split parts = split(pages);
  map_.bat().put_back(parts.bat);
  map_.bitmaps().put_back(parts.bitmaps);
}

Changes::Changes(FilePtr file, const Parsed& header, const std::shared_ptr<PageCache>& tables,
                 BlockMap& map, Epochs& epochs)
    : file_(std::move(file)),
      header_(header),
      shape_(header.shape()),
      map_(map),
      space_(file_, shape_.block_size, epochs),
      journal_(file_, header.headers),
      tables_(file_, map, header.regions.bat, journal_, space_),
      nothing_(file_, {}, tables),
      order_({file_}, file_, {&nothing_, &tables_}) {}

Result<void> Changes::check_supported(const Parsed& header) {
  if (header.headers.current.log_space.length < kUnit) {
    return Error(Errc::unsupported, "has no log: it is only read");
  }
  return {};
}

Result<void> Changes::begin() {
  const MutexLock once(begin_);
  if (begun_) return {};
  begin_failed_ = true;
  TRY(begin_once());
  begin_failed_ = false;
  begun_ = true;
  return {};
}

Result<void> Changes::begin_once() {
  const BlockScan scan = TRY(scan_blocks(*file_, header_));
  TRY(scan.expect_sound());
  // The last block may be short; from here on it is whole.
  const uint64_t end = std::max(align_up(scan.file_size, kUnit), scan.in_use.end());
  if (end > scan.file_size) TRY(file_->resize(end));
  space_.start(scan.in_use, end);
  map_.file_reaches(end);
  Header header = journal_.header();
  header.file_write = Uuid::random();
  header.data_write = Uuid::random();
  return journal_.replace_header(header);
}

Range Changes::range_of(uint64_t block) const {
  return {block * shape_.block_size, shape_.block_size};
}

Result<void> Changes::point(uint64_t index, uint64_t entry) {
  const MutexLock lock(pointing_);
  if (map_.bat().dirty_bytes() / map_.bat().unit() >= kMostOfTheBat) TRY(order_.flush());
  return map_.store(index, entry);
}

Result<Reservation> Changes::reserve_block(uint64_t block, uint64_t entry) {
  HostSpace::Place place{place_of(entry)};
  const bool kept = place.at != 0 && state_of(entry) != State::not_present;
  if (kept) {
    place.zeroed = space_.make_zero(place.at, File::Zero::keep_space);
  } else {
    place = TRY(space_.take(true));
  }
  return Reservation{.covers = range_of(block),
                     .file = file_.get(),
                     .host = place.at,
                     .cookie = kept ? kKeptBlock : kNewBlock,
                     .zeroed = place.zeroed};
}

// A block of zeroes bits, in front of all that point at it.
Result<void> Changes::expect_bitmap(uint64_t block) {
  const uint64_t index = shape_.bitmap_index_of(block / shape_.chunk_ratio());
  const MutexLock lock(making_bitmap_);
  if (state_of(TRY(map_.entry(index))) == State::fully_present) return {};
  const uint64_t place = TRY(space_.append(kBitmapSize));
  map_.file_reaches(place + kBitmapSize);
  return point(index, entry_of(State::fully_present, place));
}

Result<Reservation> Changes::reserve_sectors(uint64_t block, uint64_t entry, const Range& want) {
  const Range whole = range_of(block);
  const bool first = state_of(entry) == State::not_present;
  Range covers = align_out(intersect(want, whole), shape_.sector_size);
  // What is set at once lies in one page of the bitmap.
  const uint64_t page = PageCache::kPageSize * 8 * shape_.sector_size;
  covers = intersect(covers, {align_down(covers.offset, page), page});
  uint64_t place = place_of(entry);
  if (first) {
    TRY(expect_bitmap(block));
    place = TRY(space_.take(false)).at;
  } else {
    const Extent extent = TRY(map_.find(intersect(covers, {0, shape_.disk_size})));
    if (extent.guest.end() < covers.end()) covers.length = extent.guest.end() - covers.offset;
  }
  return Reservation{.covers = covers,
                     .file = file_.get(),
                     .host = place + (covers.offset - whole.offset),
                     .cookie = first ? kNewSectors : kMoreSectors};
}

Result<Reservation> Changes::reserve(const Range& want) {
  const uint64_t block = want.offset / shape_.block_size;
  const uint64_t entry = TRY(map_.entry(shape_.index_of(block)));
  const Range inside = intersect(range_of(block), {0, shape_.disk_size});
  switch (state_of(entry)) {
    case State::fully_present:
      return Reservation{.covers = range_of(block),
                         .file = file_.get(),
                         .host = place_of(entry),
                         .cookie = kNothing};
    case State::partially_present: return reserve_sectors(block, entry, want);
    case State::not_present:
      if (shape_.has_parent && !want.contains(inside)) return reserve_sectors(block, entry, want);
      break;
    default: break;
  }
  return reserve_block(block, entry);
}

Result<void> Changes::publish(const Reservation& r) {
  const uint64_t block = r.covers.offset / shape_.block_size;
  if (r.cookie == kNewSectors || r.cookie == kMoreSectors) {
    return publish_sectors(r, block, r.cookie == kNewSectors);
  }
  if (r.cookie == kNothing) return {};
  map_.file_reaches(r.host + shape_.block_size);
  return point(shape_.index_of(block), entry_of(State::fully_present, r.host));
}

Result<void> Changes::clear_bits(uint64_t block) {
  uint64_t at = TRY(map_.bits_of(block));
  const uint64_t end = at + shape_.bitmap_bytes_of_block();
  static constexpr std::array<std::byte, PageCache::kPageSize> kZeroes{};
  while (at < end) {
    const uint64_t page_end = align_down(at, kZeroes.size()) + kZeroes.size();
    const size_t n = std::min(end, page_end) - at;
    std::vector<std::byte> bits(n);
    TRY(map_.bitmaps().read(at, bits));
    const Bytes none = Bytes(kZeroes).first(n);
    if (!std::equal(bits.begin(), bits.end(), none.begin())) TRY(map_.bitmaps().store(at, none));
    at += n;
  }
  return {};
}

// covers: in one page of the bitmap.
Result<void> Changes::set_bits(uint64_t block, const Range& covers) {
  const uint64_t first = (covers.offset - range_of(block).offset) / shape_.sector_size;
  const uint64_t end = first + covers.length / shape_.sector_size;
  std::vector<std::byte> bits(div_up(end, 8) - first / 8);
  const uint64_t at = TRY(map_.bits_of(block)) + first / 8;
  TRY(map_.bitmaps().read(at, bits));
  for (uint64_t i = first; i < end; ++i) {
    bits[i / 8 - first / 8] |= static_cast<std::byte>(1 << (i % 8));
  }
  return map_.bitmaps().store(at, Bytes(bits));
}

Result<bool> Changes::all_bits_set(uint64_t block) const {
  const uint64_t at = TRY(map_.bits_of(block));
  std::vector<std::byte> bits(shape_.bitmap_bytes_of_block());
  TRY(map_.bitmaps().read(at, MutableBytes(bits)));
  return std::all_of(bits.begin(), bits.end(), [](std::byte b) { return b == std::byte{0xff}; });
}

// Another thread may be at other blocks of the page, never at this one's bits.
Result<void> Changes::publish_sectors(const Reservation& r, uint64_t block, bool first) {
  const uint64_t place = r.host - (r.covers.offset - range_of(block).offset);
  // They may be what is left of an earlier life of the block.
  if (first) TRY(clear_bits(block));
  TRY(set_bits(block, r.covers));
  map_.file_reaches(place + shape_.block_size);
  const uint64_t index = shape_.index_of(block);
  if (first) return point(index, entry_of(State::partially_present, place));
  // That it is whole now need not be said: an error changes nothing.
  const auto whole = all_bits_set(block);
  if (whole && *whole) (void)point(index, entry_of(State::fully_present, place));
  return {};
}

void Changes::abandon(const Reservation& r) noexcept {
  if (r.cookie != kNewBlock && r.cookie != kNewSectors) return;
  space_.give_back(r.host - r.covers.offset % shape_.block_size);
}

Result<void> Changes::point_at_zero(uint64_t block, uint64_t entry) {
  TRY(point(shape_.index_of(block), entry_of(State::zero)));
  const State before = state_of(entry);
  const bool had_place = before == State::fully_present || before == State::partially_present ||
                         (before != State::not_present && place_of(entry) != 0);
  if (had_place) space_.dropped(place_of(entry));
  return {};
}

Result<bool> Changes::zero_block(uint64_t block, uint64_t entry, File::Zero how) {
  const bool keep = how == File::Zero::keep_space || header_.items.fixed;
  switch (state_of(entry)) {
    case State::not_present:
      if (shape_.has_parent) TRY(point_at_zero(block, entry));
      return true;
    case State::fully_present:
      if (keep && TRY(file_->make_zero({place_of(entry), shape_.block_size}, how))) return true;
      if (header_.items.fixed) return false;
      break;
    case State::partially_present: break;
    default:
      // A place was kept for it, which need not be.
      if (keep || place_of(entry) == 0) return true;
      break;
  }
  TRY(point_at_zero(block, entry));
  return true;
}

// Less than a block.
Result<Range> Changes::zero_part(const Range& want, File::Zero how) {
  const Extent e = TRY(map_.find(want)).clipped(want);
  switch (e.kind) {
    case Extent::Kind::data: {
      const bool done = TRY(file_->make_zero({e.host, e.guest.length}, how));
      return Range{want.offset, done ? e.guest.length : 0};
    }
    case Extent::Kind::absent: return Range{want.offset, shape_.has_parent ? 0 : e.guest.length};
    default: return e.guest;
  }
}

Result<Range> Changes::make_zero(const Range& want, File::Zero how) {
  uint64_t at = want.offset;
  while (at < want.end()) {
    const uint64_t block = at / shape_.block_size;
    const Range whole = intersect(range_of(block), {0, shape_.disk_size});
    const Range part = intersect({at, want.end() - at}, whole);
    uint64_t done = part.length;
    if (part == whole) {
      const uint64_t entry = TRY(map_.entry(shape_.index_of(block)));
      if (!TRY(zero_block(block, entry, how))) done = 0;
    } else {
      done = TRY(zero_part(part, how)).length;
    }
    at += done;
    if (done < part.length) break;
  }
  return Range{want.offset, at - want.offset};
}

Result<void> Changes::flush(bool wrote_data) {
  const uint64_t dirty = map_.bat().dirty_bytes() + map_.bitmaps().dirty_bytes();
  if (!wrote_data && dirty == 0 && !space_.any_dropped() && !begin_failed_) return {};
  const HostSpace::Batch dropped = space_.take_dropped();
  Result<void> done = order_.flush();
  if (!done) {
    space_.put_back(dropped);
    return done;
  }
  space_.drop_is_durable(dropped);
  return {};
}

bool Changes::wants_flush() const {
  const uint64_t dirty = map_.bat().dirty_bytes() + map_.bitmaps().dirty_bytes();
  return dirty > kManyPages * PageCache::kPageSize;
}

}  // namespace platter::vhdx
