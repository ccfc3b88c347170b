// Where the grain tables of an extent are, by both directories, looked through from end to end.
#pragma once

#include <vector>

#include "formats/vmdk/sparse_header.h"

namespace platter::vmdk {

// One grain table, and the redundant one; 0: missing, or cannot be where its entry says.
struct TablePair {
  uint64_t index = 0;  // of the directories
  uint64_t table = 0, redundant = 0;
  bool bad_table = false, bad_redundant = false;  // there is an entry, which cannot be right
};

// An entry of a directory that cannot be right.
struct DirectoryFault {
  uint64_t index = 0;
  bool redundant = false;  // of which directory
  uint32_t entry = 0;
  const char* what = nullptr;
};

// Memory: some words for each entry that is not zero.
class TablePlaces {
 public:
  static Result<TablePlaces> find(const File& file, const SparseHeader& header);

  // By index; those of which both directories have nothing are not among them.
  const std::vector<TablePair>& pairs() const { return pairs_; }
  const std::vector<DirectoryFault>& faults() const { return faults_; }
  // Whether a byte of the range belongs to a table, a directory, the header or the descriptor.
  bool hold_any_of(const Range& range) const;
  // All of these, by offset; neighbours apart.
  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  struct Candidate {
    uint64_t offset = 0;
    bool redundant = false;
    uint64_t index = 0;
    bool operator<(const Candidate& other) const;
  };
  Result<void> read_directory(const File& file, const SparseHeader& header, bool redundant,
                              std::vector<Candidate>& out);
  void sort_out_overlaps(const SparseHeader& header, std::vector<Candidate>& candidates);
  void pair_up(const SparseHeader& header, const std::vector<Candidate>& sound);
  void note_unpaired();

  std::vector<TablePair> pairs_;
  std::vector<DirectoryFault> faults_;
  std::vector<Range> ranges_;
};

}  // namespace platter::vmdk
