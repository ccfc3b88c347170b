// One entry of the BAT says where a block is. Entries are looked at in the page that has the first
// one, as long as they go on where the last one ended: a walk over a disk that is mostly empty is a
// few extents. A block that is partially present is cut where its sectors change sides, a page of
// the bitmap at a time.
#include "formats/vhdx/block_map.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

namespace platter::vhdx {
namespace {

constexpr uint64_t kPage = PageCache::kPageSize;

enum class BlockKind : unsigned char { absent, zero, data, partial, invalid };

BlockKind kind_of(uint64_t entry) {
  switch (state_of(entry)) {
    case State::not_present: return BlockKind::absent;
    case State::undefined:
    case State::zero:
    case State::unmapped:
    case State::unmapped_in_draft: return BlockKind::zero;
    case State::fully_present: return BlockKind::data;
    case State::partially_present: return BlockKind::partial;
  }
  return BlockKind::invalid;
}

// Bits from `from` on that are as that one is, at most `most`; the lowest bit of a byte comes
// first.
uint64_t equal_bits(Bytes bitmap, uint64_t from, uint64_t most) {
  const auto bit = [&](uint64_t i) {
    return (std::to_integer<unsigned>(bitmap[i / 8]) >> (i % 8) & 1) != 0;
  };
  const bool first = bit(from);
  const std::byte whole = first ? std::byte{0xff} : std::byte{0};
  uint64_t i = from;
  while (i < from + most && bit(i) == first) {
    const bool skip = i % 8 == 0 && bitmap[i / 8] == whole;
    i += skip ? 8 : 1;
  }
  return std::min(i - from, most);
}

}  // namespace

BlockMap::BlockMap(FilePtr file, const Parsed& header, const std::shared_ptr<PageCache>& tables,
                   bool in_place)
    : file_(std::move(file)),
      header_(header),
      shape_(header.shape()),
      block_bits_(static_cast<unsigned>(std::countr_zero(shape_.block_size))),
      in_place_(in_place),
      bat_(file_, header.regions.bat, tables),
      bitmaps_(file_, {kUnit, kMaxOffset - kUnit}, tables),
      file_end_(header.file_size) {}

void BlockMap::file_reaches(uint64_t end) {
  uint64_t known = file_end_.load();
  while (known < end && !file_end_.compare_exchange_weak(known, end)) {
  }
}

Result<uint64_t> BlockMap::entry(uint64_t index) const {
  return uint64_t{TRY(bat_.read<le64>(place_in_bat(index)))};
}

Result<void> BlockMap::store(uint64_t index, uint64_t entry) {
  return bat_.store(place_in_bat(index), le64(entry));
}

Result<void> BlockMap::check_place(uint64_t block, uint64_t place) const {
  if (place > kMaxOffset - shape_.block_size || place >= file_end_.load()) {
    return Error(Errc::corrupt,
                 fmt::format("BAT: block {} points past the end of the file", block));
  }
  if (!header_.is_taken({place, shape_.block_size})) return {};
  return Error(Errc::corrupt,
               fmt::format("BAT: block {} points at the image's own tables ({:#x})", block, place));
}

Result<uint64_t> BlockMap::bits_of(uint64_t block) const {
  const uint64_t chunk = block / shape_.chunk_ratio();
  const uint64_t entry = TRY(this->entry(shape_.bitmap_index_of(chunk)));
  const uint64_t place = place_of(entry);
  if (state_of(entry) != State::fully_present) {
    return Error(
        Errc::corrupt,
        fmt::format("BAT: block {} is partially present, and the sector bitmap of chunk {} "
                    "is missing",
                    block, chunk));
  }
  if (place > kMaxOffset - kBitmapSize || place >= file_end_.load() ||
      header_.is_taken({place, kBitmapSize})) {
    return Error(Errc::corrupt, fmt::format("BAT: the sector bitmap of chunk {} cannot be at {:#x}",
                                            chunk, place));
  }
  return place + shape_.bitmap_at(block);
}

Result<BlockMap::Run> BlockMap::run_at(uint64_t block, uint64_t last) const {
  const uint64_t at = place_in_bat(shape_.index_of(block));
  const PageCache::PagePtr page = TRY(bat_.page(at));
  const size_t in_page = at % kPage;
  if (in_page + 8 > page->valid) {
    return Error(Errc::corrupt, fmt::format("BAT: block {} is past the end of the file", block));
  }
  const Bytes entries = page->view().subspan(in_page);
  Run run{.entry = load<le64>(entries)};
  const BlockKind kind = kind_of(run.entry);
  if (kind == BlockKind::partial || kind == BlockKind::invalid) return run;
  // A bitmap's entry stands between two chunks.
  const uint64_t in_chunk = shape_.chunk_ratio() - block % shape_.chunk_ratio();
  const uint64_t limit = std::min({entries.size() / 8, in_chunk, last - block + 1});
  for (; run.blocks < limit; ++run.blocks) {
    const uint64_t next = load<le64>(entries, 8 * run.blocks);
    if (kind_of(next) != kind) break;
    const uint64_t wanted = place_of(run.entry) + run.blocks * shape_.block_size;
    if (kind == BlockKind::data && place_of(next) != wanted) break;
  }
  return run;
}

Extent BlockMap::clipped_to_file(const Range& guest, uint64_t host, uint64_t at) const {
  const uint64_t end = file_end_.load();
  const uint64_t stored = std::min(guest.length, end - std::min(end, host));
  if (at - guest.offset >= stored) {
    return Extent{.guest = {guest.offset + stored, guest.length - stored},
                  .kind = Extent::Kind::zero};
  }
  return Extent{.guest = {guest.offset, stored},
                .kind = Extent::Kind::data,
                .file = file_.get(),
                .host = host,
                .in_place = in_place_};
}

Result<Extent> BlockMap::data(uint64_t block, const Run& run, uint64_t at) const {
  const uint64_t place = place_of(run.entry);
  TRY(check_place(block, place));
  uint64_t blocks = 1;
  while (blocks < run.blocks && check_place(block, place + blocks * shape_.block_size)) ++blocks;
  return clipped_to_file({block << block_bits_, blocks << block_bits_}, place, at);
}

Result<Extent> BlockMap::partial(uint64_t block, uint64_t place, const Range& want) const {
  if (!shape_.has_parent) {
    return Error(
        Errc::corrupt,
        fmt::format("BAT: block {} is partially present in a disk without a parent", block));
  }
  TRY(check_place(block, place));
  const uint64_t start = block << block_bits_;
  const uint64_t first = (want.offset - start) / shape_.sector_size;
  const uint64_t at = TRY(bits_of(block)) + first / 8;
  const PageCache::PagePtr page = TRY(bitmaps_.page(at));
  if (at % kPage >= page->valid) {
    return Error(Errc::corrupt,
                 fmt::format("sector bitmap: block {} is past the end of the file", block));
  }
  const Bytes bits = page->view().subspan(at % kPage);
  const uint64_t in_block = shape_.sectors_in_block() - first;
  const uint64_t most = std::min(in_block, 8 * bits.size() - first % 8);
  const uint64_t wanted = div_up(want.end() - start, shape_.sector_size) - first;
  const uint64_t sectors = equal_bits(bits, first % 8, std::min(most, wanted));
  const Range guest{start + first * shape_.sector_size, sectors * shape_.sector_size};
  const bool here = (std::to_integer<unsigned>(bits[0]) >> (first % 8) & 1) != 0;
  if (!here) return Extent{.guest = guest};
  return clipped_to_file(guest, place + first * shape_.sector_size, want.offset);
}

Result<Extent> BlockMap::find(const Range& want) const {
  const uint64_t block = want.offset >> block_bits_;
  const Run run = TRY(run_at(block, (want.end() - 1) >> block_bits_));
  Extent extent{.guest = {block << block_bits_, run.blocks << block_bits_}};
  switch (kind_of(run.entry)) {
    case BlockKind::absent: break;
    case BlockKind::zero: extent.kind = Extent::Kind::zero; break;
    case BlockKind::data: extent = TRY(data(block, run, want.offset)); break;
    case BlockKind::partial: extent = TRY(partial(block, place_of(run.entry), want)); break;
    case BlockKind::invalid:
      return Error(Errc::corrupt,
                   fmt::format("BAT: block {} is in state {}", block, run.entry & kStateMask));
  }
  // The last block goes on behind the disk.
  return extent.clipped({0, shape_.disk_size});
}

}  // namespace platter::vhdx
