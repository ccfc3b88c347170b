// The look-up: the entry of the table says where a block is, its bitmap which sectors count. In a
// differencing disk the others are the parent's. In a dynamic disk, where programs differ about
// them, what is stored is what is read (README.md); but a write there has a bit to set.
#include "formats/vhd/dynamic_image.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "formats/vhd/check.h"
#include "formats/vhd/compact.h"
#include "formats/vhd/describe.h"
#include "formats/vhd/metadata.h"
#include "formats/vhd/resize.h"

namespace platter::vhd {

DynamicImage::DynamicImage(FilePtr file, std::shared_ptr<PageCache> tables, Parsed parsed,
                           bool writable, std::optional<uint64_t> allocated)
    : file_(std::move(file)),
      tables_(std::move(tables)),
      writable_(writable),
      allocated_(allocated) {
  take(std::move(parsed));
}

void DynamicImage::take(Parsed parsed) {
  changes_.reset();
  parsed_ = std::move(parsed);
  places_ = parsed_.places();
  info_ = describe(parsed_, allocated_);
  block_bits_ = static_cast<unsigned>(std::countr_zero(parsed_.block_size));
  // Bitmaps are all over the file, between guest bytes.
  pointers_.emplace(file_, Range{0, kMaxFileSize}, tables_, kSector);
  if (writable_) changes_ = std::make_unique<Changes>(file_, parsed_, tables_, *pointers_);
}

Result<DynamicImage::Run> DynamicImage::run_at(uint64_t block, uint64_t last) const {
  const uint64_t at = parsed_.table_offset + 4 * block;
  Run run{.entry = TRY(pointers_->read<be32>(at))};
  if (run.entry != kUnused || at % sizeof(be32) != 0) return run;
  const PageCache::PagePtr page = TRY(pointers_->page(at));
  // Of one unit: others of the page may be older than what waits in memory.
  const uint64_t unit_end = std::min<uint64_t>(align_up(at + 1, kSector),
                                               align_down(at, PageCache::kPageSize) + page->valid);
  const uint64_t limit = std::min((unit_end - at) / sizeof(be32), last - block + 1);
  const Bytes entries = page->view().subspan(at % PageCache::kPageSize);
  while (run.blocks < limit && load<be32>(entries, 4 * run.blocks) == kUnused) ++run.blocks;
  return run;
}

Result<void> DynamicImage::expect_inside(uint64_t block, const Range& stored) const {
  const bool over = std::ranges::any_of(
      places_, [&](const Range& place) { return !intersect(place, stored).empty(); });
  if (over) {
    return Error(Errc::corrupt,
                 fmt::format("block allocation table: entry {} points at the headers", block));
  }
  if (stored.offset + parsed_.bitmap_size() < data_end()) return {};
  return Error(
      Errc::corrupt,
      fmt::format("block allocation table: entry {} points past the end of the data", block));
}

// The sectors from this one of the block on that have the same bit. bitmap: where it begins, bytes.
Result<SectorRun> DynamicImage::bits_at(uint64_t bitmap, uint64_t sector) const {
  const uint64_t at = bitmap + sector / 8;
  const PageCache::PagePtr page = TRY(pointers_->page(at));
  const uint64_t in_page = at % PageCache::kPageSize;
  if (in_page >= page->valid) {
    return Error(Errc::corrupt, fmt::format("truncated: no bitmap of sectors at {}", at));
  }
  // Of one unit, as in the table.
  const Bytes bits = page->view().subspan(
      in_page, std::min<uint64_t>(kSector - at % kSector, page->valid - in_page));
  const uint64_t base = sector / 8 * 8;
  const uint64_t end = std::min(parsed_.block_size / kSector, base + 8 * bits.size());
  return run_of(bits, base, sector, end);
}

Result<Extent> DynamicImage::in_block(uint64_t block, uint32_t sector, uint64_t at) const {
  const Range stored{sector * kSector, parsed_.stride()};
  TRY(expect_inside(block, stored));
  const Range whole{block << block_bits_, parsed_.block_size};
  const uint64_t data = stored.offset + parsed_.bitmap_size();
  const bool child = parsed_.type == Type::differencing;
  Extent extent{.guest = whole, .kind = Extent::Kind::data, .file = file_.get(), .host = data};
  if (child || changes_ != nullptr) {
    const uint64_t first = (at - whole.offset) / kSector;
    const SectorRun run = TRY(bits_at(stored.offset, first));
    const Range sectors{whole.offset + first * kSector, run.count * kSector};
    if (child && !run.set) return Extent{.guest = sectors};
    extent = extent.clipped(sectors);
    extent.in_place = run.set && changes_ != nullptr;
  }
  const Range there{whole.offset, std::min<uint64_t>(data_end() - data, whole.length)};
  if (there.contains(at)) return extent.clipped(there);
  // What the file lacks of the block was never written, or is lost.
  const Range lacking{there.end(), whole.length - there.length};
  return Extent{.guest = intersect(extent.guest, lacking), .kind = Extent::Kind::zero};
}

Result<Extent> DynamicImage::map(const Range& want, SnapshotId /*snapshot*/) const {
  const uint64_t block = want.offset >> block_bits_;
  const Run run = TRY(run_at(block, (want.end() - 1) >> block_bits_));
  Extent extent{.guest = {block << block_bits_, run.blocks << block_bits_}};
  if (run.entry != kUnused) extent = TRY(in_block(block, run.entry, want.offset));
  // The last block goes on behind the disk.
  return extent.clipped({0, parsed_.disk_size});
}

Result<void> DynamicImage::begin_writing() {
  return changes_ ? changes_->begin() : Image::begin_writing();
}

Result<Reservation> DynamicImage::reserve(const Range& want) { return changes_->reserve(want); }

Result<void> DynamicImage::publish(const Reservation& r) { return changes_->publish(r); }

void DynamicImage::abandon(const Reservation& r) noexcept { changes_->abandon(r); }

Result<Range> DynamicImage::make_zero(const Range& want, File::Zero how) {
  const Extent e = TRY(map(want, 0)).clipped(want);
  if (e.kind == Extent::Kind::data) {
    const bool done = TRY(file_->make_zero({e.host, e.guest.length}, how));
    return Range{want.offset, done ? e.guest.length : 0};
  }
  if (e.kind == Extent::Kind::zero) return e.guest;
  return make_explicit_zero(e.guest);
}

// Sectors that are there and zero hide a parent's. A dynamic disk has nothing of the kind.
Result<Range> DynamicImage::make_explicit_zero(const Range& want) {
  const Range none{want.offset, 0};
  if (parsed_.type != Type::differencing || want.offset % kSector != 0) return none;
  const Range whole{want.offset, align_down(want.length, kSector)};
  if (whole.empty()) return none;
  const Reservation r = TRY(changes_->reserve(whole));
  const Range host{r.host, r.covers.length};
  Result<bool> zeroed =
      r.zeroed ? Result<bool>(true) : file_->make_zero(host, File::Zero::free_space);
  if (zeroed && *zeroed) {
    Result<void> done = changes_->publish(r);
    if (done) return r.covers;
    zeroed = std::move(done.error());
  }
  changes_->abandon(r);
  if (!zeroed) return std::move(zeroed.error());
  return none;
}

Result<void> DynamicImage::expect_writable() {
  return changes_ ? Result<void>() : Image::begin_writing();
}

Result<void> DynamicImage::flush(bool wrote_data) {
  return changes_ ? changes_->flush(wrote_data) : Result<void>();
}

Result<void> DynamicImage::resize(uint64_t size) {
  TRY(expect_writable());
  // What was written since it was opened has moved the footer.
  Result<void> done = resize_dynamic(*file_, TRY(parse(*file_)), size);
  // It went past the tables in memory.
  tables_->forget(*file_);
  Result<Parsed> now = parse(*file_);
  if (now) {
    take(*std::move(now));
    return done;
  }
  // Whatever the header says by now: nothing that the old table points at was written over. What is
  // new is not known, so nothing more may be changed.
  changes_.reset();
  if (const Result<FileStat> st = file_->stat()) parsed_.data_end = st->size;
  return done ? std::move(now.error()) : std::move(done.error());
}

Result<void> DynamicImage::check(Repair how, CheckReport& report) {
  if (how != Repair::none) TRY(expect_writable());
  return check_dynamic(*file_, TRY(parse(*file_)), how, report);
}

Result<void> DynamicImage::set_metadata(const Metadata& values) {
  TRY(expect_writable());
  return vhd::set_metadata(*file_, TRY(parse(*file_)), values);
}

Result<void> DynamicImage::set_parent(const ParentLink& parent) {
  TRY(expect_writable());
  // What was written since it was opened has moved the footer.
  return vhd::set_parent(*file_, TRY(parse(*file_)), parent);
}

Result<void> DynamicImage::drop_parent() {
  TRY(expect_writable());
  return vhd::drop_parent(*file_, TRY(parse(*file_)));
}

Result<void> DynamicImage::compact(Progress& progress) {
  TRY(expect_writable());
  return vhd::compact(*file_, progress);
}

}  // namespace platter::vhd
