// All tables of an image, looked through from end to end.
#pragma once

#include <functional>
#include <vector>

#include "formats/qcow/parse.h"

namespace platter::qcow {

// The words of a table that are not zero, first to last; index: of be64 words from where.offset.
// What visit makes of a word is written to the file. What of the table lies past the end of the
// file is zero, and stays it.
using VisitWord = std::function<Result<void>(uint64_t index, uint64_t& word)>;
Result<void> for_each_word(File& file, const Range& where, const VisitWord& visit);

// The L2 tables that the L1 table points at. Memory: some words for each of its entries that are
// not zero.
struct Tables {
  struct Place {
    uint64_t offset = 0;  // bytes
    uint64_t l1_index = 0;
  };
  struct Fault {
    uint64_t l1_index = 0;
    uint64_t word = 0;
    const char* what = nullptr;
  };
  // By offset; sector aligned, begin inside the file, and share a byte neither with one another nor
  // with the header. Of two that do, the lower one is here, or that of the lower entry.
  std::vector<Place> sound;
  std::vector<Fault> faults;  // by L1 index

  // Whether a byte of the range belongs to a table.
  bool hold_any_of(const Header& header, const Range& range) const;
  uint64_t end(const Header& header) const {
    return sound.empty() ? 0 : sound.back().offset + header.table_bytes();
  }
  // Errc::corrupt when there are faults.
  Result<void> expect_sound() const;
};
Result<Tables> find_tables(File& file, const Header& header);

}  // namespace platter::qcow
