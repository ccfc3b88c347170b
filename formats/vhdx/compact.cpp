// The last block in the file goes to the first gap that holds it, and so on until none lies in
// front of any. Each group of them is copied; then one change of the journal, which comes after
// what was copied, points at the new places, and what the old ones held is given up. A crash leaves
// gaps, which are free. Log, regions and metadata stay where they are. Data does not change, and so
// neither does the data write GUID, by which children know it: for that, blocks of zeroes are
// looked for here and not zeroed by a writer.
#include "formats/vhdx/compact.h"

#include <algorithm>
#include <functional>
#include <span>

#include "formats/vhdx/block_scan.h"
#include "formats/vhdx/journal.h"
#include "lib/base/checked.h"
#include "lib/base/zeroes.h"
#include "lib/io/zero_runs.h"

namespace platter::vhdx {
namespace {

constexpr uint64_t kEntriesPerRead = 8 * KiB;
constexpr size_t kMostBlocks = size_t{64} * 1024;  // looked at together
constexpr uint64_t kMostInGroup = 256 * MiB;       // copied before the entries change

struct Block {
  uint64_t place = 0;  // bytes
  uint64_t index = 0;  // of its entry
};

class Compactor {
 public:
  Compactor(const FilePtr& file, const Parsed& header, BlockScan scan, Progress& progress)
      : file_(file),
        p_(header),
        shape_(header.shape()),
        in_use_(std::move(scan.in_use)),
        file_end_(scan.file_size),
        journal_(file, header.headers),
        patch_(*file),
        progress_(progress),
        total_((in_use_.count() + in_use_.count(in_use_.count())) * kUnit) {}

  Result<void> run();

 private:
  using Visit = std::function<Result<void>(uint64_t index, uint64_t entry)>;
  Result<void> for_each_entry(const Visit& visit) const;
  uint64_t length_at(uint64_t index) const {
    return shape_.is_bitmap(index) ? kBitmapSize : shape_.block_size;
  }
  bool holds_data(uint64_t index, uint64_t entry) const;
  Result<void> begin();
  Result<void> give_up_places();
  // Whether the block has a place and nothing in it.
  Result<bool> needs_none(uint64_t index, uint64_t entry);
  // Those that lie last in the file, the very last first.
  Result<std::vector<Block>> last_blocks() const;
  Result<bool> move_some();
  std::optional<uint64_t> gap_for(uint64_t length, uint64_t below);
  Result<void> move(const Block& block, uint64_t to);
  Result<void> copy(const Range& from, uint64_t to);
  Result<void> put_entry(uint64_t index, uint64_t entry);
  // Points at the new places of what was moved, and gives up the old ones.
  Result<void> end_group();
  Result<void> cut();
  void advance(uint64_t bytes) {
    done_ = std::min(done_ + bytes, total_);
    progress_.advance(done_, total_);
  }
  Result<void> expect_wanted() const {
    if (!progress_.cancelled()) return {};
    return Error(Errc::cancelled, "interrupted");
  }

  const FilePtr file_;
  const Parsed& p_;
  const Shape shape_;
  UnitsInUse in_use_;
  uint64_t file_end_;  // bytes
  Journal journal_;
  PagePatch patch_;
  Progress& progress_;
  const uint64_t total_;  // bytes in use, and once more those behind where the file might end
  uint64_t done_ = 0;     // bytes looked at or moved
  bool begun_ = false;
  uint64_t in_group_ = 0;           // bytes copied
  std::vector<Range> given_up_;     // by the group
  uint64_t no_gap_for_block_ = 0;   // in front of here, units
  uint64_t no_gap_for_bitmap_ = 0;  // likewise
};

Result<void> Compactor::for_each_entry(const Visit& visit) const {
  std::vector<le64> piece;
  for (uint64_t first = 0; first < shape_.entries(); first += piece.size()) {
    TRY(expect_wanted());
    piece.resize(std::min(kEntriesPerRead, shape_.entries() - first));
    TRY(file_->read_exact(p_.regions.bat.offset + 8 * first,
                          std::as_writable_bytes(std::span(piece))));
    for (size_t i = 0; i < piece.size(); ++i) {
      if (piece[i] != 0) TRY(visit(first + i, piece[i]));
    }
  }
  return {};
}

// Where there is no parent nobody looks at bitmaps, nor anywhere at blocks behind the disk.
bool Compactor::holds_data(uint64_t index, uint64_t entry) const {
  const State state = state_of(entry);
  if (shape_.is_bitmap(index)) return shape_.has_parent && state == State::fully_present;
  const bool present = state == State::fully_present || state == State::partially_present;
  return present && shape_.block_of(index) < shape_.blocks();
}

// Before the first change. The last block may be short; from here on it is whole.
Result<void> Compactor::begin() {
  if (std::exchange(begun_, true)) return {};
  Header header = journal_.header();
  header.file_write = Uuid::random();
  TRY(journal_.replace_header(header));
  const uint64_t end = std::max(align_up(file_end_, kUnit), in_use_.end());
  if (end > file_end_) TRY(file_->resize(end));
  file_end_ = end;
  return {};
}

Result<void> Compactor::put_entry(uint64_t index, uint64_t entry) {
  if (patch_.size() == Journal::kMostPages) TRY(end_group());
  return patch_.put(p_.regions.bat.offset + 8 * index, as_bytes_of(le64(entry)));
}

// What it has behind the disk's end nobody sees.
Result<bool> Compactor::needs_none(uint64_t index, uint64_t entry) {
  if (shape_.is_bitmap(index) || shape_.block_of(index) >= shape_.blocks()) return false;
  if (!holds_data(index, entry)) return place_of(entry) != 0;
  if (state_of(entry) != State::fully_present) return false;
  TRY(expect_wanted());
  const uint64_t inside = shape_.disk_size - shape_.block_of(index) * shape_.block_size;
  advance(shape_.block_size);
  return reads_as_zeroes(*file_, {place_of(entry), std::min(inside, shape_.block_size)});
}

// Blocks of zeroes say so, and those that say so already have no place.
Result<void> Compactor::give_up_places() {
  const auto give_up = [&](uint64_t index, uint64_t entry) -> Result<void> {
    if (!TRY(needs_none(index, entry))) return {};
    TRY(begin());
    const bool zero = state_of(entry) == State::fully_present;
    TRY(put_entry(index, entry_of(zero ? State::zero : state_of(entry))));
    // Of a block that is not present the place means nothing.
    if (state_of(entry) != State::not_present) {
      given_up_.push_back({place_of(entry), shape_.block_size});
    }
    return {};
  };
  TRY(for_each_entry(give_up));
  return end_group();
}

Result<std::vector<Block>> Compactor::last_blocks() const {
  std::vector<Block> found;
  const auto keep_last = [&](size_t n) {
    std::ranges::sort(found, std::greater{}, &Block::place);
    found.resize(std::min(n, found.size()));
  };
  const auto look_at = [&](uint64_t index, uint64_t entry) -> Result<void> {
    if (!holds_data(index, entry)) return {};
    found.push_back({place_of(entry), index});
    if (found.size() == 2 * kMostBlocks) keep_last(kMostBlocks);
    return {};
  };
  TRY(for_each_entry(look_at));
  keep_last(kMostBlocks);
  return found;
}

// The first one, when it ends in front of that place; of those that come up meanwhile the next look
// at all blocks knows.
std::optional<uint64_t> Compactor::gap_for(uint64_t length, uint64_t below) {
  uint64_t& from = length == kBitmapSize ? no_gap_for_bitmap_ : no_gap_for_block_;
  const uint64_t units = length / kUnit;
  uint64_t free = 0;
  for (uint64_t unit = from; unit < below / kUnit; ++unit) {
    free = in_use_.contains(unit) ? 0 : free + 1;
    if (free < units) continue;
    from = unit + 1 - units;
    return from * kUnit;
  }
  from = std::max(from, below / kUnit);
  return std::nullopt;
}

Result<void> Compactor::copy(const Range& from, uint64_t to) {
  std::vector<std::byte> piece(MiB);
  for (uint64_t done = 0; done < from.length; done += piece.size()) {
    TRY(file_->read_exact(from.offset + done, piece));
    const bool zero =
        all_zero(piece) && TRY(file_->make_zero({to + done, piece.size()}, File::Zero::free_space));
    if (!zero) TRY(file_->write(to + done, piece));
  }
  return {};
}

Result<void> Compactor::move(const Block& block, uint64_t to) {
  TRY(begin());
  const Range from{block.place, length_at(block.index)};
  const uint64_t at = p_.regions.bat.offset + 8 * block.index;
  const uint64_t entry = TRY(file_->read_struct<le64>(at));
  TRY(copy(from, to));
  TRY(put_entry(block.index, entry_of(state_of(entry), to)));
  in_use_.add({to, from.length});
  given_up_.push_back(from);
  in_group_ += from.length;
  advance(from.length);
  return in_group_ < kMostInGroup ? Result<void>() : end_group();
}

Result<void> Compactor::end_group() {
  if (given_up_.empty() && patch_.size() == 0) return {};
  TRY(journal_.commit(patch_.pages(), file_end_));
  // No header names the log any more before the file gets shorter.
  TRY(file_->sync());
  for (const Range& range : given_up_) in_use_.remove(range);
  given_up_.clear();
  patch_.clear();
  in_group_ = 0;
  return cut();
}

// What is wanted no longer ends the group first.
Result<bool> Compactor::move_some() {
  bool any = false;
  no_gap_for_block_ = no_gap_for_bitmap_ = 0;
  for (const Block& block : TRY(last_blocks())) {
    const auto gap = gap_for(length_at(block.index), block.place);
    if (!gap) continue;
    if (auto wanted = expect_wanted(); !wanted) {
      TRY(end_group());
      return std::move(wanted.error());
    }
    TRY(move(block, *gap));
    any = true;
  }
  TRY(end_group());
  return any;
}

Result<void> Compactor::cut() {
  if (file_end_ <= in_use_.end()) return {};
  TRY(begin());
  file_end_ = in_use_.end();
  return file_->resize(file_end_);
}

Result<void> Compactor::run() {
  progress_.advance(0, total_);
  TRY(give_up_places());
  while (TRY(move_some())) {
  }
  TRY(cut());
  give_back_gaps(*file_, in_use_, in_use_.end());
  TRY(file_->sync());
  progress_.advance(total_, total_);
  return {};
}

}  // namespace

Result<void> compact(const FilePtr& file, const Parsed& header, Progress& progress) {
  if (header.items.fixed) {
    return Error(Errc::unsupported, "a fixed VHDX keeps the places of all its blocks");
  }
  BlockScan scan = TRY(scan_blocks(*file, header));
  TRY(scan.expect_sound());
  return Compactor(file, header, std::move(scan), progress).run();
}

}  // namespace platter::vhdx
