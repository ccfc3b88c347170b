// What nobody can reach yet (entries behind those of the old size, a BAT at another place, bytes
// behind the end of the disk) is written where it goes, and one sync makes it durable. Then one
// change of the journal switches to it: the size, the bits of the last block, the region tables.
#include "formats/vhdx/resize.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>

#include "formats/vhdx/block_scan.h"
#include "formats/vhdx/fill.h"
#include "formats/vhdx/journal.h"
#include "lib/base/checked.h"
#include "lib/base/text.h"

namespace platter::vhdx {
namespace {

constexpr uint64_t kEntriesInPiece = 16 * KiB;

class Resizer {
 public:
  Resizer(const FilePtr& file, const Parsed& header, uint64_t size)
      : file_(file),
        p_(header),
        old_(header.shape()),
        new_(header.shape()),
        bat_(header.regions.bat),
        patch_(*file) {
    new_.disk_size = size;
  }

  Result<void> grow();
  Result<void> cut();

 private:
  Result<uint64_t> entry(uint64_t index) const {
    return uint64_t{TRY(file_->read_struct<le64>(p_.regions.bat.offset + 8 * index))};
  }
  Result<void> make_room();
  Result<void> copy_entries();
  Result<void> add_entries();
  Result<void> put_entries(uint64_t first, std::span<const le64> entries);
  Result<void> hide_behind_the_end();
  Result<void> expect_nothing_behind() const;
  Result<void> clear_entries();
  Result<void> switch_over();

  const FilePtr file_;
  const Parsed& p_;
  const Shape old_;
  Shape new_;
  Range bat_;               // the new region
  uint64_t file_end_ = 0;   // bytes, whole units
  uint64_t first_new_ = 0;  // of a fixed image: where its new blocks are
  PagePatch patch_;
};

// A region for the entries of the new size.
Result<void> Resizer::make_room() {
  const uint64_t needed = 8 * new_.entries();
  if (needed <= bat_.length) return {};
  bat_ = {file_end_, align_up(needed, kUnit)};
  file_end_ = bat_.end();
  TRY(file_->resize(file_end_));
  TRY(copy_entries());
  for (size_t i = 0; i < 2; ++i) {
    TRY(patch_.put(kRegionTablesAt[i], moved_region(p_.regions.table, guid::kBat, bat_)));
  }
  return {};
}

Result<void> Resizer::copy_entries() {
  std::vector<le64> piece;
  for (uint64_t first = 0; first < old_.entries(); first += piece.size()) {
    piece.resize(std::min(kEntriesInPiece, old_.entries() - first));
    const auto bytes = std::as_writable_bytes(std::span(piece));
    TRY(file_->read_exact(p_.regions.bat.offset + 8 * first, bytes));
    TRY(file_->write(bat_.offset + 8 * first, bytes));
  }
  return {};
}

// The first of them may share a page with those in use: that one goes through the journal.
Result<void> Resizer::put_entries(uint64_t first, std::span<const le64> entries) {
  const uint64_t at = bat_.offset + 8 * first;
  const Bytes bytes = std::as_bytes(entries);
  size_t shared = 0;
  if (bat_ == p_.regions.bat) {
    const uint64_t in_use = align_up(bat_.offset + 8 * old_.entries(), kLogSector);
    shared = std::min<uint64_t>(bytes.size(), in_use - std::min(in_use, at));
    TRY(patch_.put(at, bytes.first(shared)));
  }
  if (shared == bytes.size()) return {};
  return file_->write(at + shared, bytes.subspan(shared));
}

// Those of new blocks; a child's hide what a larger parent has there.
Result<void> Resizer::add_entries() {
  if (p_.items.fixed) {
    first_new_ = file_end_;
    file_end_ += (new_.blocks() - old_.blocks()) * new_.block_size;
    TRY(file_->resize(file_end_));
  }
  std::vector<le64> piece;
  const uint64_t end = new_.entries();
  // A child's last chunk is whole, but for its bitmap block's entry.
  for (uint64_t index = new_.index_of(old_.blocks()); index < end;) {
    piece.clear();
    const uint64_t first = index;
    for (; index < end && piece.size() < kEntriesInPiece; ++index) {
      const uint64_t block = new_.block_of(index);
      if (new_.is_bitmap(index)) {
        const bool there = index < old_.entries();
        piece.emplace_back(there ? TRY(entry(index)) : 0);
      } else if (block >= new_.blocks()) {
        piece.emplace_back(0);
      } else if (p_.items.fixed) {
        const uint64_t place = first_new_ + (block - old_.blocks()) * new_.block_size;
        piece.emplace_back(entry_of(State::fully_present, place));
      } else {
        piece.emplace_back(entry_of(State::zero));
      }
    }
    TRY(put_entries(first, piece));
  }
  return {};
}

// The last block of the disk goes on behind it, with whatever its writer left there; of a child's
// it may be the parent's.
Result<void> Resizer::hide_behind_the_end() {
  const uint64_t inside = old_.disk_size % old_.block_size;
  const uint64_t block = old_.blocks() - 1;
  if (inside == 0) return {};
  const uint64_t found = TRY(entry(old_.index_of(block)));
  const State state = state_of(found);
  if (state != State::fully_present && state != State::partially_present) return {};
  TRY(zero_range(*file_, {place_of(found) + inside, old_.block_size - inside}));
  if (state == State::fully_present) return {};
  const uint64_t chunk = block / old_.chunk_ratio();
  const uint64_t bitmap = place_of(TRY(entry(old_.bitmap_index_of(chunk))));
  const uint64_t at = bitmap + old_.bitmap_at(block);
  const uint64_t sector = inside / old_.sector_size;
  std::vector<std::byte> bits(old_.bitmap_bytes_of_block() - sector / 8, std::byte{0xff});
  const auto first = TRY(file_->read_struct<le16>(at + sector / 8)) & 0xff;
  bits[0] = static_cast<std::byte>(first | (0xff << (sector % 8)));
  return patch_.put(at + sector / 8, bits);
}

Result<void> Resizer::switch_over() {
  const Item* item = p_.items.find(guid::kDiskSize);
  TRY(patch_.put(item->place.offset, as_bytes_of(le64(new_.disk_size))));
  TRY(file_->sync());
  Header header = p_.headers.current;
  header.file_write = Uuid::random();
  header.data_write = Uuid::random();
  Journal journal(file_, p_.headers);
  TRY(journal.commit(patch_.pages(), file_end_, header));
  return file_->sync();
}

Result<void> Resizer::grow() {
  const BlockScan scan = TRY(scan_blocks(*file_, p_));
  TRY(scan.expect_sound());
  file_end_ = std::max(align_up(scan.file_size, kUnit), scan.in_use.end());
  if (file_end_ > scan.file_size) TRY(file_->resize(file_end_));
  TRY(hide_behind_the_end());
  TRY(make_room());
  TRY(add_entries());
  return switch_over();
}

Result<void> Resizer::expect_nothing_behind() const {
  std::vector<le64> piece;
  for (uint64_t index = old_.index_of(new_.blocks()); index < old_.entries();
       index += piece.size()) {
    piece.resize(std::min(kEntriesInPiece, old_.entries() - index));
    TRY(file_->read_exact(p_.regions.bat.offset + 8 * index,
                          std::as_writable_bytes(std::span(piece))));
    for (size_t i = 0; i < piece.size(); ++i) {
      const State state = state_of(piece[i]);
      const bool data = state == State::fully_present || state == State::partially_present;
      if (!data || old_.is_bitmap(index + i)) continue;
      return Error(Errc::unsupported,
                   fmt::format("a VHDX is cut only where it has no data: block {} has some",
                               old_.block_of(index + i)));
    }
  }
  return {};
}

// Nobody reaches them any more, but for the bitmap of a chunk that is still in use; that others
// find nothing there need not be durable.
Result<void> Resizer::clear_entries() {
  const std::vector<le64> zeroes(kEntriesInPiece);
  for (uint64_t index = old_.index_of(new_.blocks()); index < old_.entries();) {
    if (old_.is_bitmap(index) && index < new_.entries()) {
      ++index;
      continue;
    }
    uint64_t end = std::min(old_.entries(), index + kEntriesInPiece);
    if (index < new_.entries()) end = std::min(end, new_.entries() - 1);
    TRY(file_->write(bat_.offset + 8 * index, std::as_bytes(std::span(zeroes).first(end - index))));
    index = end;
  }
  return {};
}

Result<void> Resizer::cut() {
  if (p_.items.fixed) return Error(Errc::unsupported, "a fixed VHDX cannot be cut");
  TRY(scan_blocks(*file_, p_));
  TRY(expect_nothing_behind());
  file_end_ = TRY(file_->stat()).size;
  TRY(switch_over());
  return clear_entries();
}

}  // namespace

Result<void> resize(const FilePtr& file, const Parsed& header, uint64_t size) {
  const Shape& shape = header.shape();
  if (size > kMaxDiskSize) {
    return Error(Errc::invalid, fmt::format("a VHDX of {}: at most {} are possible",
                                            human_size(size), human_size(kMaxDiskSize)));
  }
  if (size == 0) return Error(Errc::invalid, "a VHDX of 0 bytes: it has to hold something");
  size = align_up(size, shape.sector_size);
  if (size == shape.disk_size) return {};
  Resizer resizer(file, header, size);
  return size > shape.disk_size ? resizer.grow() : resizer.cut();
}

}  // namespace platter::vhdx
