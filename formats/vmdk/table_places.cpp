#include "formats/vmdk/table_places.h"

#include <algorithm>

namespace platter::vmdk {
namespace {

constexpr uint64_t kPiece = 64 * KiB;

bool before(const Range& a, const Range& b) { return a.offset < b.offset; }

// Sorted, and what touches or overlaps is one.
void join(std::vector<Range>& ranges) {
  std::sort(ranges.begin(), ranges.end(), before);
  size_t kept = 0;
  for (const Range& range : ranges) {
    if (kept != 0 && range.offset <= ranges[kept - 1].end()) {
      ranges[kept - 1] = hull(ranges[kept - 1], range);
    } else {
      ranges[kept++] = range;
    }
  }
  ranges.resize(kept);
}

}  // namespace

bool TablePlaces::Candidate::operator<(const Candidate& other) const {
  if (offset != other.offset) return offset < other.offset;
  if (redundant != other.redundant) return !redundant;
  return index < other.index;
}

Result<void> TablePlaces::read_directory(const File& file, const SparseHeader& header,
                                         bool redundant, std::vector<Candidate>& out) {
  const GrainLayout& layout = header.layout;
  const Range where = redundant ? layout.redundant_range() : layout.directory_range();
  const uint64_t size = TRY(file.stat()).size;
  std::vector<le32> piece;
  for (uint64_t at = where.offset; at < where.end();) {
    const File::Run run = TRY(file.run_at(at));
    const uint64_t left = std::min(run.range.end(), where.end()) - at;
    // Entries do not cross the ends of runs: those are of sectors, at the least.
    if (!run.data && left >= sizeof(le32)) {
      at += align_down(left, sizeof(le32));
      continue;
    }
    piece.resize(div_up(std::min(left, kPiece), sizeof(le32)));
    TRY(file.read_padded(at, std::as_writable_bytes(std::span(piece))));
    const uint64_t first = (at - where.offset) / sizeof(le32);
    for (size_t i = 0; i < piece.size(); ++i) {
      const uint32_t entry = piece[i];
      if (entry == 0 || first + i >= layout.entries) continue;
      if (fits(entry * kSector, layout.table_bytes(), size)) {
        out.push_back({entry * kSector, redundant, first + i});
      } else {
        faults_.push_back({first + i, redundant, entry, "points past the end of the file"});
      }
    }
    at += piece.size() * sizeof(le32);
  }
  return {};
}

// Of two that overlap the one that begins first stays.
void TablePlaces::sort_out_overlaps(const SparseHeader& header,
                                    std::vector<Candidate>& candidates) {
  const auto sectors = [](Range range) { return align_out(range, kSector); };
  std::vector<Range> fixed{{0, kSector}, sectors(header.layout.directory_range())};
  if (header.layout.redundant != 0) fixed.push_back(sectors(header.layout.redundant_range()));
  if (header.descriptor) fixed.push_back(*header.descriptor);
  std::sort(candidates.begin(), candidates.end());
  const uint64_t length = align_up(header.layout.table_bytes(), kSector);
  uint64_t end = 0;
  std::erase_if(candidates, [&](const Candidate& c) {
    const Range own{c.offset, length};
    const bool over = std::any_of(fixed.begin(), fixed.end(), [&](const Range& range) {
      return !intersect(range, own).empty();
    });
    const char* what = over             ? "points at other metadata"
                       : c.offset < end ? "points at a table another one has"
                                        : nullptr;
    if (what == nullptr) {
      end = own.end();
      ranges_.push_back(own);
    } else {
      faults_.push_back({c.index, c.redundant, static_cast<uint32_t>(c.offset / kSector), what});
    }
    return what != nullptr;
  });
  ranges_.insert(ranges_.end(), fixed.begin(), fixed.end());
  join(ranges_);
}

void TablePlaces::pair_up(const SparseHeader& header, const std::vector<Candidate>& sound) {
  for (const Candidate& c : sound) {
    TablePair pair{.index = c.index};
    (c.redundant ? pair.redundant : pair.table) = c.offset;
    pairs_.push_back(pair);
  }
  for (const DirectoryFault& fault : faults_) {
    TablePair pair{.index = fault.index};
    (fault.redundant ? pair.bad_redundant : pair.bad_table) = true;
    pairs_.push_back(pair);
  }
  std::sort(pairs_.begin(), pairs_.end(),
            [](const TablePair& a, const TablePair& b) { return a.index < b.index; });
  size_t kept = 0;
  for (const TablePair& pair : pairs_) {
    if (kept == 0 || pairs_[kept - 1].index != pair.index) {
      pairs_[kept++] = pair;
      continue;
    }
    TablePair& same = pairs_[kept - 1];
    same.table += pair.table;
    same.redundant += pair.redundant;
    same.bad_table = same.bad_table || pair.bad_table;
    same.bad_redundant = same.bad_redundant || pair.bad_redundant;
  }
  pairs_.resize(kept);
  if (header.layout.redundant != 0) note_unpaired();
}

void TablePlaces::note_unpaired() {
  constexpr const char* kWhat = "has no table, the other directory has one";
  for (const TablePair& pair : pairs_) {
    if (pair.table == 0 && !pair.bad_table) faults_.push_back({pair.index, false, 0, kWhat});
    if (pair.redundant == 0 && !pair.bad_redundant) {
      faults_.push_back({pair.index, true, 0, kWhat});
    }
  }
}

Result<TablePlaces> TablePlaces::find(const File& file, const SparseHeader& header) {
  TablePlaces places;
  std::vector<Candidate> candidates;
  TRY(places.read_directory(file, header, false, candidates));
  if (header.layout.redundant != 0) TRY(places.read_directory(file, header, true, candidates));
  places.sort_out_overlaps(header, candidates);
  places.pair_up(header, candidates);
  return places;
}

bool TablePlaces::hold_any_of(const Range& range) const {
  // The last one that begins in front of the range's end.
  const auto at = std::lower_bound(ranges_.begin(), ranges_.end(), Range{range.end(), 0}, before);
  return at != ranges_.begin() && std::prev(at)->end() > range.offset;
}

}  // namespace platter::vmdk
