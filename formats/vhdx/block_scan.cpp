#include "formats/vhdx/block_scan.h"

#include <algorithm>
#include <set>
#include <span>

#include <fmt/format.h>

#include "lib/base/checked.h"

namespace platter::vhdx {
namespace {

constexpr uint64_t kEntriesAtOnce = 8 * KiB;

class Scanner {
 public:
  Scanner(const File& file, const Parsed& header, BlockScan& scan)
      : file_(file), header_(header), shape_(header.shape()), scan_(scan) {}

  Result<void> run() {
    TRY(add_structures());
    const uint64_t entries = shape_.entries();
    std::vector<le64> piece;
    for (uint64_t first = 0; first < entries; first += piece.size()) {
      first += TRY(holes_at(first, entries));
      piece.resize(std::min(kEntriesAtOnce, entries - first));
      TRY(file_.read_exact(header_.regions.bat.offset + 8 * first,
                           std::as_writable_bytes(std::span(piece))));
      for (size_t i = 0; i < piece.size(); ++i) look_at(first + i, piece[i]);
    }
    end_of_chunk();
    return {};
  }

 private:
  Result<void> add_structures() {
    scan_.in_use.add({0, kUnit});
    for (const Range& range : header_.taken) {
      if (!fits(range.offset, range.length, align_up(scan_.file_size, kUnit))) {
        return Error(Errc::corrupt, fmt::format("truncated: what is at {} ({} bytes) ends past the "
                                                "end of the file",
                                                range.offset, range.length));
      }
      scan_.in_use.add(range);
    }
    return {};
  }

  // Entries that are holes in the file, and so zero.
  Result<uint64_t> holes_at(uint64_t first, uint64_t entries) const {
    const uint64_t at = header_.regions.bat.offset + 8 * first;
    const File::Run run = TRY(file_.run_at(at));
    return run.data ? 0 : std::min((run.range.end() - at) / 8, entries - first);
  }

  template <class... Args>
  void fault(fmt::format_string<Args...> text, Args&&... args) {
    ++scan_.fault_count;
    if (scan_.faults.size() >= BlockScan::kMaxFaults) return;
    scan_.faults.push_back("BAT: " + fmt::format(text, std::forward<Args>(args)...));
  }

  struct Owner {
    bool bitmap = false;  // of a chunk; else a block
    uint64_t number = 0;
  };
  static std::string name_of(const Owner& owner) {
    return fmt::format("{} {}", owner.bitmap ? "the sector bitmap of chunk" : "block",
                       owner.number);
  }

  void look_at(uint64_t index, uint64_t entry) {
    const uint64_t chunk = index / (shape_.chunk_ratio() + 1);
    if (chunk != chunk_) end_of_chunk();
    chunk_ = chunk;
    if (entry == 0) return;
    if (shape_.is_bitmap(index)) return look_at_bitmap(entry);
    const Owner block{false, shape_.block_of(index)};
    if (block.number >= shape_.blocks()) return;
    switch (state_of(entry)) {
      case State::not_present: return;
      case State::undefined:
      case State::zero:
      case State::unmapped:
      case State::unmapped_in_draft:
        // A place that is kept for it is nobody else's.
        if (place_of(entry) != 0) claim(block, place_of(entry), shape_.block_size);
        return;
      case State::fully_present: return claim(block, place_of(entry), shape_.block_size);
      case State::partially_present:
        if (!partial_) partial_ = block.number;
        return claim(block, place_of(entry), shape_.block_size);
    }
    fault("{} is in state {}", name_of(block), entry & kStateMask);
  }

  void look_at_bitmap(uint64_t entry) {
    // Where there is no parent nobody looks at them.
    if (!shape_.has_parent || state_of(entry) == State::not_present) return;
    const Owner bitmap{true, chunk_};
    if (state_of(entry) != State::fully_present) {
      return fault("{} is in state {}", name_of(bitmap), entry & kStateMask);
    }
    has_bitmap_ = true;
    claim(bitmap, place_of(entry), kBitmapSize);
  }

  // Partial blocks come in front of the bitmap that says what they have.
  void end_of_chunk() {
    if (partial_ && !has_bitmap_) {
      fault("block {} is partially present, and has no sector bitmap", *partial_);
    }
    partial_.reset();
    has_bitmap_ = false;
  }

  void claim(const Owner& owner, uint64_t place, uint64_t length) {
    if (place >= scan_.file_size || length > kMaxOffset - place) {
      return fault("{} points past the end of the file ({:#x})", name_of(owner), place);
    }
    if (header_.is_taken({place, length})) {
      return fault("{} points at the image's own tables ({:#x})", name_of(owner), place);
    }
    if (!scan_.in_use.add({place, length})) {
      return fault("{} is where another one is ({:#x})", name_of(owner), place);
    }
    ++scan_.blocks;
  }

  const File& file_;
  const Parsed& header_;
  const Shape shape_;
  BlockScan& scan_;
  uint64_t chunk_ = 0;
  std::optional<uint64_t> partial_;  // the first one of the chunk
  bool has_bitmap_ = false;          // the chunk does
};

}  // namespace

bool UnitsInUse::add(const Range& host) {
  const uint64_t first = host.offset / kUnit, end = host.end() / kUnit;
  if (used_.size() < end) used_.resize(end);
  bool fresh = true;
  for (uint64_t unit = first; unit < end; ++unit) {
    fresh = fresh && !used_[unit];
    used_[unit] = true;
  }
  return fresh;
}

void UnitsInUse::remove(const Range& host) {
  const uint64_t end = std::min<uint64_t>(host.end() / kUnit, used_.size());
  for (uint64_t unit = host.offset / kUnit; unit < end; ++unit) used_[unit] = false;
  while (!used_.empty() && !used_.back()) used_.pop_back();
}

uint64_t UnitsInUse::count(uint64_t first) const {
  if (first >= used_.size()) return 0;
  const auto from = used_.begin() + static_cast<ptrdiff_t>(first);
  return static_cast<uint64_t>(std::count(from, used_.end(), true));
}

Result<void> BlockScan::expect_sound() const {
  if (fault_count == 0) return {};
  return Error(Errc::corrupt, fmt::format("{} ({} such faults): nothing is written to it",
                                          faults.front(), fault_count));
}

uint64_t BlockScan::unused_at_end() const {
  return div_up(file_size - std::min(file_size, in_use.end()), kUnit);
}

Result<BlockScan> scan_blocks(const File& file, const Parsed& header) {
  // The largest disk with its tables is far smaller; what the bits of it take is bounded by this.
  constexpr uint64_t kMaxScanned = 4 * kMaxDiskSize;
  BlockScan scan;
  scan.file_size = TRY(file.stat()).size;
  if (scan.file_size > kMaxScanned) {
    return Error(Errc::unsupported, fmt::format("a file of {} bytes", scan.file_size));
  }
  TRY(Scanner(file, header, scan).run());
  return scan;
}

void give_back_gaps(File& file, const UnitsInUse& in_use, uint64_t end) {
  for (uint64_t at = 0; at < end; at += kUnit) {
    uint64_t gap_end = at;
    while (gap_end < end && !in_use.contains(gap_end / kUnit)) gap_end += kUnit;
    if (gap_end == at) continue;
    (void)file.make_zero({at, gap_end - at}, File::Zero::free_space);
    at = gap_end;
  }
}

}  // namespace platter::vhdx
