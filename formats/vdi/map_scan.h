// One pass over a block map: who uses which block of the file.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "formats/vdi/parse.h"

namespace platter::vdi {

// The map in pieces of 64 KiB, first to last. first: the entry the piece begins with.
using VisitPiece = std::function<Result<void>(uint64_t first, std::span<le32> piece)>;
Result<void> for_each_piece(const File& file, const Parsed& header, const VisitPiece& visit);

// The blocks of the file that entries point at. Memory: a bit a block of the file.
class BlocksInUse {
 public:
  BlocksInUse() = default;
  // blocks: in the file.
  explicit BlocksInUse(uint64_t blocks) : used_by_one_(std::min<uint64_t>(blocks, kZero)) {}

  enum class Found : unsigned char {
    no_block,  // free or zero
    block,
    outside,  // past the end of the file
    shared,   // an earlier entry has it
  };
  Found add(uint32_t entry);

  bool contains(uint64_t number) const {
    return number < used_by_one_.size() && used_by_one_[number];
  }
  uint64_t count() const { return count_; }
  // One more than the highest of them.
  uint64_t end() const { return end_; }

 private:
  std::vector<bool> used_by_one_;
  uint64_t count_ = 0, end_ = 0;
};

struct MapScan {
  BlocksInUse in_use;
  uint64_t file_size = 0;  // bytes, at that time
  // Entries that cannot be right. At most kMaxFaults of each kind are kept, all are counted.
  struct Fault {
    uint64_t entry = 0;
    uint32_t number = 0;
  };
  static constexpr size_t kMaxFaults = 100;
  std::vector<Fault> outside, shared;
  uint64_t outside_count = 0, shared_count = 0;

  // Errc::corrupt when there are faults: what seems free might not be.
  Result<void> expect_sound() const;

  // Other programs take the header's count for the number of the next free block. The first block
  // in use that one of them would overwrite if it gave a block to every entry that has none.
  std::optional<uint64_t> overwritten_by(const Parsed& header, uint64_t count) const;
  // The count by which none is overwritten, where there is one.
  uint64_t safe_count(const Parsed& header) const;
};

Result<MapScan> scan_map(const File& file, const Parsed& header);

}  // namespace platter::vdi
