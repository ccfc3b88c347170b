// A compressed block of an LZFSE stream ("bvx1", "bvx2").
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "lib/image/fse.h"

namespace platter {

inline constexpr size_t kLzfseLengths = 20;    // symbols for runs of literals, and for matches
inline constexpr size_t kLzfseDistances = 64;  // symbols for distances
inline constexpr size_t kLzfseLiterals = 256;
inline constexpr size_t kLzfseLengthStates = 64;
inline constexpr size_t kLzfseDistanceStates = 256;
inline constexpr size_t kLzfseLiteralStates = 1024;

// What both headers say. Holds: the counts are within what encoders make of a block, and the block
// makes bytes enough for them.
struct LzfseBlock {
  uint32_t raw_bytes = 0;  // what the block makes
  uint32_t literals = 0, matches = 0;
  uint32_t literal_bytes = 0, match_bytes = 0;      // of the two streams, in this order
  unsigned literal_missing = 0, match_missing = 0;  // bits of their last bytes that are not theirs
  std::array<uint16_t, 4> literal_states = {};      // that decoding begins with
  uint16_t run_state = 0, match_state = 0, distance_state = 0;
  // Of the symbols: runs of literals, matches, distances, literals.
  std::array<uint16_t, 2 * kLzfseLengths + kLzfseDistances + kLzfseLiterals> frequencies = {};
  size_t header_bytes = 0;
};

// The header at the start of stored, which has its magic. Empty: it is damaged, or cut short.
std::optional<LzfseBlock> parse_lzfse_block(Bytes stored);

// Decodes blocks, one after the other. Thread safety: none. Memory: 60 KiB.
class LzfseBlockDecoder {
 public:
  // Appends what the block makes to the first at bytes of unit, to which it may refer; at moves on.
  // streams: of the block, whole. False: they are damaged, or the unit has no room.
  bool decode(const LzfseBlock& block, Bytes streams, MutableBytes unit, size_t& at);

 private:
  bool fill_tables(const LzfseBlock& block);
  bool decode_literals(const LzfseBlock& block, Bytes stream);
  bool decode_matches(const LzfseBlock& block, Bytes stream, MutableBytes unit, size_t& at);

  FseTable<kLzfseLengthStates> runs_, matches_;
  FseTable<kLzfseDistanceStates> distances_;
  FseTable<kLzfseLiteralStates> literal_table_;
  std::vector<std::byte> literals_;
};

}  // namespace platter
