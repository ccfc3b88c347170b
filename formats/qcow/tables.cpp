#include "formats/qcow/tables.h"

#include <algorithm>

#include <fmt/format.h>

namespace platter::qcow {
namespace {

constexpr uint64_t kPiece = 64 * KiB;

// One piece of a table: the first of its words is that of this index.
Result<void> visit_piece(File& file, const Range& piece, uint64_t index, const VisitWord& visit) {
  std::vector<be64> words((piece.length + sizeof(be64) - 1) / sizeof(be64));
  TRY(file.read_padded(piece.offset, std::as_writable_bytes(std::span(words))));
  for (size_t i = 0; i < words.size(); ++i) {
    const uint64_t old = words[i];
    if (old == 0) continue;
    uint64_t word = old;
    TRY(visit(index + i, word));
    if (word == old) continue;
    TRY(file.write(piece.offset + i * sizeof(be64), as_bytes_of(be64(word))));
  }
  return {};
}

const char* fault_of(const Header& header, uint64_t file_size, uint64_t offset) {
  if (offset % kSector != 0) return "is not aligned to a sector";
  if (offset >= file_size) return "is past the end of the file";
  if (header.holds_any_of({offset, header.table_bytes()})) return "lies over the header";
  return nullptr;
}

// Takes out of places those that overlap an earlier one.
void sort_out_overlaps(const Header& header, Tables& tables) {
  std::sort(tables.sound.begin(), tables.sound.end(), [](const auto& a, const auto& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.l1_index < b.l1_index;
  });
  size_t kept = 0;
  for (const Tables::Place& place : tables.sound) {
    if (kept != 0 && place.offset - tables.sound[kept - 1].offset < header.table_bytes()) {
      tables.faults.push_back({place.l1_index, place.offset, "lies over another one"});
    } else {
      tables.sound[kept++] = place;
    }
  }
  tables.sound.resize(kept);
  std::sort(tables.faults.begin(), tables.faults.end(),
            [](const auto& a, const auto& b) { return a.l1_index < b.l1_index; });
}

}  // namespace

Result<void> for_each_word(File& file, const Range& where, const VisitWord& visit) {
  const uint64_t size = TRY(file.stat()).size;
  const uint64_t end = std::min(where.end(), size);
  for (uint64_t at = where.offset; at < end;) {
    const File::Run run = TRY(file.run_at(at));
    if (!run.data) {
      // The word that begins in a hole and ends behind it, if there is one, is read.
      const uint64_t hole = std::min(run.range.end(), end) - at;
      if (const uint64_t words = hole / sizeof(be64); words != 0) {
        at += words * sizeof(be64);
        continue;
      }
    }
    const uint64_t length = std::min(kPiece, end - at);
    TRY(visit_piece(file, {at, length}, (at - where.offset) / sizeof(be64), visit));
    at += length;
  }
  return {};
}

bool Tables::hold_any_of(const Header& header, const Range& range) const {
  // The last one that begins in front of the range's end.
  const auto behind = std::partition_point(
      sound.begin(), sound.end(), [&](const Place& place) { return place.offset < range.end(); });
  if (behind == sound.begin()) return false;
  return std::prev(behind)->offset + header.table_bytes() > range.offset;
}

Result<void> Tables::expect_sound() const {
  if (faults.empty()) return {};
  return Error(Errc::corrupt,
               fmt::format("L1 table entry {}: its L2 table {} ({:#x}): repair it before changing "
                           "it",
                           faults[0].l1_index, faults[0].what, faults[0].word));
}

Result<Tables> find_tables(File& file, const Header& header) {
  Tables tables;
  const uint64_t size = TRY(file.stat()).size;
  const auto visit = [&](uint64_t index, uint64_t& word) -> Result<void> {
    if (const char* fault = fault_of(header, size, word)) {
      tables.faults.push_back({index, word, fault});
    } else {
      tables.sound.push_back({word, index});
    }
    return {};
  };
  TRY(for_each_word(file, header.l1(), visit));
  sort_out_overlaps(header, tables);
  return tables;
}

}  // namespace platter::qcow
