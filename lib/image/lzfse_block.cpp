// A block has two streams. One holds the literals, all of them, by four states in turns; the other
// the instructions: a run of literals, a match, its distance.
#include "lib/image/lzfse_block.h"

#include <algorithm>

#include "lib/image/back_reference.h"

namespace platter {
namespace {

// What encoders put into a block at most.
constexpr uint32_t kMostLiterals = 40000, kMostMatches = 10000;

// "bvx1"; the fields are 772 bytes with two of padding.
struct LzfseHeaderV1 {
  le32 magic;
  le32 raw_bytes, payload_bytes;
  le32 literals, matches;
  le32 literal_bytes, match_bytes;
  le32 literal_bits;  // -7 to 0: minus the bits that are missing in the last byte
  std::array<le16, 4> literal_states;
  le32 match_bits;
  le16 run_state, match_state, distance_state;
  std::array<le16, 360> frequencies;
  le16 padding;
};
static_assert(sizeof(LzfseHeaderV1) == 772 && DiskStruct<LzfseHeaderV1>);

// "bvx2": the same in fields of bits, the lowest first; packed frequencies follow.
//   a: 20 literals, 20 bytes of their stream, 20 matches, 3 literal bits + 7
//   b: 4 * 10 states of literals, 20 bytes of the stream of matches, 3 match bits + 7
//   c: 32 bytes of header, 3 * 10 states: run, match, distance
struct LzfseHeaderV2 {
  le32 magic;
  le32 raw_bytes;
  le64 a, b, c;
};
static_assert(sizeof(LzfseHeaderV2) == 32 && DiskStruct<LzfseHeaderV2>);

constexpr uint32_t bits_of(uint64_t field, unsigned from, unsigned count) {
  return static_cast<uint32_t>(field >> from & ((uint64_t{1} << count) - 1));
}

std::optional<LzfseBlock> parse_v1(Bytes stored) {
  if (stored.size() < sizeof(LzfseHeaderV1)) return std::nullopt;
  const auto h = load<LzfseHeaderV1>(stored);
  LzfseBlock block{.raw_bytes = h.raw_bytes,
                   .literals = h.literals,
                   .matches = h.matches,
                   .literal_bytes = h.literal_bytes,
                   .match_bytes = h.match_bytes,
                   .literal_missing = -uint32_t{h.literal_bits},
                   .match_missing = -uint32_t{h.match_bits},
                   .run_state = h.run_state,
                   .match_state = h.match_state,
                   .distance_state = h.distance_state,
                   .header_bytes = sizeof(LzfseHeaderV1)};
  std::copy(h.literal_states.begin(), h.literal_states.end(), block.literal_states.begin());
  std::copy(h.frequencies.begin(), h.frequencies.end(), block.frequencies.begin());
  return block;
}

// Frequencies, packed, the lowest bit first: 00, 01 in two bits; 2, 3; 4 to 7; 8 to 23; from 24 on,
// each with a longer prefix of ones.
class PackedFrequencies {
 public:
  explicit PackedFrequencies(Bytes bytes) : bytes_(bytes) {}

  uint16_t next() {
    if (take(1) == 0) return take(1);
    if (take(1) == 0) return static_cast<uint16_t>(2 + take(1));
    if (take(1) == 0) return static_cast<uint16_t>(4 + take(2));
    if (take(1) == 0) return static_cast<uint16_t>(8 + take(4));
    return static_cast<uint16_t>(24 + take(10));
  }
  // They took all bytes, and no more.
  bool at_end() const { return (at_ + 7) / 8 == bytes_.size(); }

 private:
  uint16_t take(unsigned n) {
    unsigned value = 0;
    for (unsigned i = 0; i < n; ++i, ++at_) {
      if (at_ / 8 >= bytes_.size()) continue;
      value |= (std::to_integer<unsigned>(bytes_[at_ / 8]) >> at_ % 8 & 1) << i;
    }
    return static_cast<uint16_t>(value);
  }

  Bytes bytes_;
  size_t at_ = 0;  // bits
};

std::optional<LzfseBlock> parse_v2(Bytes stored) {
  if (stored.size() < sizeof(LzfseHeaderV2)) return std::nullopt;
  const auto h = load<LzfseHeaderV2>(stored);
  const auto state = [](uint64_t field, unsigned from) {
    return static_cast<uint16_t>(bits_of(field, from, 10));
  };
  LzfseBlock block{
      .raw_bytes = h.raw_bytes,
      .literals = bits_of(h.a, 0, 20),
      .matches = bits_of(h.a, 40, 20),
      .literal_bytes = bits_of(h.a, 20, 20),
      .match_bytes = bits_of(h.b, 40, 20),
      .literal_missing = 7 - bits_of(h.a, 60, 3),
      .match_missing = 7 - bits_of(h.b, 60, 3),
      .literal_states = {state(h.b, 0), state(h.b, 10), state(h.b, 20), state(h.b, 30)},
      .run_state = state(h.c, 32),
      .match_state = state(h.c, 42),
      .distance_state = state(h.c, 52),
      .header_bytes = bits_of(h.c, 0, 32)};
  if (block.header_bytes < sizeof(LzfseHeaderV2) || block.header_bytes > stored.size()) {
    return std::nullopt;
  }
  // Nothing there: all of them are 0.
  if (block.header_bytes == sizeof(LzfseHeaderV2)) return block;
  PackedFrequencies packed(
      stored.subspan(sizeof(LzfseHeaderV2), block.header_bytes - sizeof(LzfseHeaderV2)));
  for (uint16_t& frequency : block.frequencies) frequency = packed.next();
  if (!packed.at_end()) return std::nullopt;
  return block;
}

// A symbol stands for base and what so many bits add to it; the bases follow one another without a
// gap.
template <size_t kCount>
struct Values {
  std::array<uint8_t, kCount> bits = {};
  std::array<uint32_t, kCount> base = {};

  constexpr void number() {
    uint32_t next = 0;
    for (size_t i = 0; i < kCount; ++i) {
      base[i] = next;
      next += uint32_t{1} << bits[i];
    }
  }
  uint32_t value(BackwardBits& in, uint32_t symbol) const {
    return base[symbol] + static_cast<uint32_t>(in.take(bits[symbol]));
  }
};

// Sixteen lengths that stand for themselves, and four ranges.
constexpr Values<kLzfseLengths> lengths(std::array<uint8_t, 4> ranges) {
  Values<kLzfseLengths> values;
  std::copy(ranges.begin(), ranges.end(), values.bits.begin() + 16);
  values.number();
  return values;
}

constexpr Values<kLzfseDistances> four_of_each() {
  Values<kLzfseDistances> values;
  for (size_t i = 0; i < kLzfseDistances; ++i) values.bits[i] = static_cast<uint8_t>(i / 4);
  values.number();
  return values;
}

constexpr auto kRuns = lengths({2, 3, 5, 8}), kMatches = lengths({3, 5, 8, 11});
constexpr auto kDistances = four_of_each();
static_assert(kRuns.base[19] == 60 && kMatches.base[19] == 312 && kDistances.base[63] == 229372);

// A symbol, by the state's bits; then the bits of its value.
template <class Table, size_t kCount>
bool decode_value(const Table& table, const Values<kCount>& values, BackwardBits& bits,
                  uint32_t& state, uint32_t& value) {
  uint32_t symbol = 0;
  if (!table.decode(bits, state, symbol)) return false;
  value = values.value(bits, symbol);
  return true;
}

}  // namespace

std::optional<LzfseBlock> parse_lzfse_block(Bytes stored) {
  auto block =
      stored.size() > 3 && stored[3] == std::byte{'1'} ? parse_v1(stored) : parse_v2(stored);
  if (!block || block->literals > kMostLiterals || block->matches > kMostMatches) {
    return std::nullopt;
  }
  if (block->literal_missing > 7 || block->match_missing > 7) return std::nullopt;
  // Literals are counted in fours. A block that makes next to nothing takes next to no time.
  if (block->literals > uint64_t{block->raw_bytes} + 3 || block->matches > block->raw_bytes) {
    return std::nullopt;
  }
  return block;
}

bool LzfseBlockDecoder::fill_tables(const LzfseBlock& block) {
  std::span<const uint16_t> left = block.frequencies;
  const auto next = [&left](size_t count) {
    const auto part = left.first(count);
    left = left.subspan(count);
    return part;
  };
  return runs_.fill(next(kLzfseLengths)) && matches_.fill(next(kLzfseLengths)) &&
         distances_.fill(next(kLzfseDistances)) && literal_table_.fill(left);
}

bool LzfseBlockDecoder::decode_literals(const LzfseBlock& block, Bytes stream) {
  BackwardBits bits(stream, block.literal_missing);
  std::array<uint32_t, 4> states;
  std::copy(block.literal_states.begin(), block.literal_states.end(), states.begin());
  literals_.resize(block.literals);
  for (size_t i = 0; i < literals_.size(); ++i) {
    uint32_t literal = 0;
    if (!literal_table_.decode(bits, states[i % 4], literal)) return false;
    literals_[i] = static_cast<std::byte>(literal);
  }
  return !bits.failed();
}

bool LzfseBlockDecoder::decode_matches(const LzfseBlock& block, Bytes stream, MutableBytes unit,
                                       size_t& at) {
  BackwardBits bits(stream, block.match_missing);
  uint32_t run_state = block.run_state, match_state = block.match_state;
  uint32_t distance_state = block.distance_state, distance = 0;
  Bytes literals = literals_;
  for (uint32_t i = 0; i < block.matches; ++i) {
    uint32_t run = 0, match = 0, other = 0;
    if (!decode_value(runs_, kRuns, bits, run_state, run) ||
        !decode_value(matches_, kMatches, bits, match_state, match) ||
        !decode_value(distances_, kDistances, bits, distance_state, other) || bits.failed()) {
      return false;
    }
    if (other != 0) distance = other;  // else the one before
    if (!take_literals(literals, unit, at, run)) return false;
    if (match != 0 && !repeat_back(unit, at, distance, match)) return false;
  }
  return true;
}

bool LzfseBlockDecoder::decode(const LzfseBlock& block, Bytes streams, MutableBytes unit,
                               size_t& at) {
  if (block.raw_bytes > unit.size() - at) return false;
  const size_t end = at + block.raw_bytes;
  return fill_tables(block) && decode_literals(block, streams.first(block.literal_bytes)) &&
         decode_matches(block, streams.subspan(block.literal_bytes), unit.first(end), at) &&
         at == end;
}

}  // namespace platter
