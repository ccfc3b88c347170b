#include "formats/vhd/table_scan.h"

#include <algorithm>

#include <fmt/format.h>

namespace platter::vhd {
namespace {

constexpr uint64_t kEntriesAtOnce = 16 * KiB;

void note(std::vector<BlockAt>& faults, uint64_t& count, const BlockAt& block) {
  ++count;
  if (faults.size() < TableScan::kMaxFaults) faults.push_back(block);
}

class TableScanner {
 public:
  TableScanner(const File& file, const Parsed& parsed)
      : file_(file), parsed_(parsed), places_(parsed.places()), stride_(parsed.stride()) {
    std::ranges::sort(places_, {}, &Range::offset);
    out_.data_end = parsed.data_end;
    // No more can be in the file without overlapping.
    most_ = 2 * (parsed.data_end / stride_) + KiB;
  }

  Result<TableScan> run() {
    TRY(for_each_piece(file_, parsed_, [&](uint64_t first, std::span<be32> piece) -> Result<void> {
      for (size_t i = 0; i < piece.size(); ++i) {
        if (piece[i] != kUnused) add({piece[i], static_cast<uint32_t>(first + i)});
      }
      return {};
    }));
    settle();
    find_gaps();
    return std::move(out_);
  }

 private:
  void add(const BlockAt& block) {
    const Range range{block.offset(), stride_};
    const bool over = std::ranges::any_of(
        places_, [&](const Range& place) { return !intersect(place, range).empty(); });
    if (over || range.offset >= parsed_.data_end) {
      note(out_.outside, out_.outside_count, block);
      return;
    }
    out_.blocks.push_back(block);
    if (out_.blocks.size() > most_) settle();
  }

  void settle() {
    std::ranges::sort(out_.blocks);
    uint64_t end = 0;
    std::erase_if(out_.blocks, [&](const BlockAt& block) {
      if (block.offset() < end) {
        note(out_.overlapped, out_.overlapped_count, block);
        return true;
      }
      end = block.offset() + stride_;
      return false;
    });
  }

  void find_gaps() {
    auto place = places_.begin();
    for (const BlockAt& block : out_.blocks) {
      for (; place != places_.end() && place->offset < block.offset(); ++place) take(*place);
      take({block.offset(), stride_});
    }
    for (; place != places_.end(); ++place) take(*place);
    const uint64_t last = align_down(parsed_.data_end, kSector);
    gap(out_.end, std::max(out_.end, last));
  }

  void take(const Range& used) {
    gap(out_.end, std::max(out_.end, used.offset));
    out_.end = std::max(out_.end, align_up(used.end(), kSector));
  }
  void gap(uint64_t from, uint64_t to) {
    if (to - from >= stride_) out_.gaps.push_back({from, to - from});
  }

  const File& file_;
  const Parsed& parsed_;
  std::vector<Range> places_;
  const uint64_t stride_;
  size_t most_ = 0;
  TableScan out_;
};

}  // namespace

Result<void> for_each_piece(const File& file, const Parsed& parsed, const VisitPiece& visit) {
  std::vector<be32> piece;
  for (uint64_t first = 0; first < parsed.entries; first += piece.size()) {
    piece.resize(std::min(kEntriesAtOnce, parsed.entries - first));
    TRY(file.read_exact(parsed.table_offset + 4 * first, std::as_writable_bytes(std::span(piece))));
    TRY(visit(first, piece));
  }
  return {};
}

Result<TableScan> scan_table(const File& file, const Parsed& parsed) {
  return TableScanner(file, parsed).run();
}

bool TableScan::contains(const BlockAt& block) const {
  return std::ranges::binary_search(blocks, block);
}

uint64_t TableScan::unused(uint64_t stride) const {
  uint64_t count = 0;
  for (const Range& gap : gaps) count += gap.length / stride;
  return count;
}

Result<void> TableScan::expect_sound() const {
  if (outside_count != 0 || overlapped_count != 0) {
    return Error(Errc::corrupt,
                 fmt::format("block allocation table: {} entries point outside the data, {} at "
                             "bytes another block has: repair it before changing it",
                             outside_count, overlapped_count));
  }
  if (end <= data_end) return {};
  return Error(Errc::corrupt,
               fmt::format("truncated: the blocks end at {}, the data of the file at {}: repair it "
                           "before changing it",
                           end, data_end));
}

}  // namespace platter::vhd
