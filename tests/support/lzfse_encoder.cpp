#include "tests/support/lzfse_encoder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <map>

#include "lib/base/endian.h"

namespace platter::test {
namespace {

using Buffer = std::vector<std::byte>;

void put(Buffer& out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) out.push_back(static_cast<std::byte>(value >> 8 * i));
}

// A run of literals, then a match.
struct Step {
  size_t run = 0, match = 0, distance = 0;
};

// plain[from, …) as steps: greedy, by the last place where the same four bytes were.
std::vector<Step> steps_of(Bytes plain, size_t from, size_t most_run, size_t most_match,
                           size_t most_distance) {
  std::map<uint32_t, size_t> last;
  const auto key = [&](size_t at) { return uint32_t{load<le32>(plain, at)}; };
  for (size_t i = 0; i < from && i + 4 <= plain.size(); ++i) last[key(i)] = i;
  std::vector<Step> steps;
  Step step;
  for (size_t at = from; at < plain.size();) {
    const auto known = at + 4 <= plain.size() ? last.find(key(at)) : last.end();
    size_t length = 0;
    if (known != last.end() && at - known->second <= most_distance) {
      while (length < most_match && at + length < plain.size() &&
             plain[known->second + length] == plain[at + length]) {
        ++length;
      }
      step.distance = at - known->second;
    }
    const size_t taken = std::max<size_t>(length, 1);
    for (size_t i = 0; i < taken; ++i) {
      if (at + i + 4 <= plain.size()) last[key(at + i)] = at + i;
    }
    at += taken;
    if (length == 0) {
      if (++step.run < most_run) continue;
      step.distance = 0;
    }
    step.match = length;
    steps.push_back(step);
    step = {};
  }
  if (step.run != 0) steps.push_back({step.run, 0, 0});
  return steps;
}

class ForwardBits {
 public:
  void push(uint64_t value, unsigned n) {
    for (unsigned i = 0; i < n; ++i, ++count_) {
      if (count_ % 8 == 0) bytes_.push_back({});
      bytes_.back() |= static_cast<std::byte>((value >> i & 1) << count_ % 8);
    }
  }
  const Buffer& bytes() const { return bytes_; }
  unsigned missing() const { return static_cast<unsigned>(8 * bytes_.size() - count_); }

 private:
  Buffer bytes_;
  size_t count_ = 0;
};

// Frequencies for so many states, and the states themselves, from how often each symbol is needed.
class Model {
 public:
  Model(const std::vector<size_t>& counts, size_t states)
      : states_(states), frequency_(counts.size()) {
    size_t total = 0, sum = 0;
    for (const size_t count : counts) total += count;
    if (total == 0) return;
    for (size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] != 0) frequency_[i] = std::max<size_t>(1, counts[i] * states / total);
      sum += frequency_[i];
    }
    const auto largest = [this] { return std::ranges::max_element(frequency_); };
    for (; sum > states; --sum) --*largest();
    for (; sum < states; ++sum) ++*largest();
  }

  // From the state that is to follow to the one that gives the symbol.
  size_t encode(size_t symbol, size_t next, ForwardBits& out) const {
    const size_t f = frequency_[symbol];
    size_t x = next + states_;
    unsigned bits = 0;
    while (x >> bits >= 2 * f) ++bits;
    out.push(x & ((size_t{1} << bits) - 1), bits);
    size_t first = 0;
    for (size_t i = 0; i < symbol; ++i) first += frequency_[i];
    return first + (x >> bits) - f;
  }
  const std::vector<size_t>& frequencies() const { return frequency_; }

 private:
  size_t states_;
  std::vector<size_t> frequency_;
};

// Which symbol stands for a value, and what its bits say.
struct Symbol {
  size_t symbol = 0;
  unsigned bits = 0;
  size_t rest = 0;
};
Symbol symbol_of(size_t value, const std::vector<unsigned>& bits) {
  size_t base = 0;
  for (size_t i = 0;; ++i) {
    const size_t count = size_t{1} << bits[i];
    if (value < base + count) return {i, bits[i], value - base};
    base += count;
  }
}
std::vector<unsigned> length_bits(std::initializer_list<unsigned> ranges) {
  std::vector<unsigned> bits(16);
  bits.insert(bits.end(), ranges);
  return bits;
}
std::vector<unsigned> distance_bits() {
  std::vector<unsigned> bits(64);
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<unsigned>(i / 4);
  return bits;
}

void push_frequency(ForwardBits& out, size_t f) {
  if (f < 2) return out.push(f << 1, 2);
  if (f < 4) return out.push(1 | (f - 2) << 2, 3);
  if (f < 8) return out.push(3 | (f - 4) << 3, 5);
  if (f < 24) return out.push(7 | (f - 8) << 4, 8);
  out.push(15 | (f - 24) << 4, 14);
}

// One of the three kinds of numbers in a block's steps.
struct Field {
  std::vector<unsigned> bits;
  size_t states;
  std::vector<Symbol> symbols = {};
  size_t state = 0;

  Model model() const {
    std::vector<size_t> counts(bits.size());
    for (const Symbol& s : symbols) ++counts[s.symbol];
    return {counts, states};
  }
};

class Block {
 public:
  Block(Bytes plain, size_t from) : raw_(plain.size() - from) {
    size_t at = from, before = 0;
    for (const Step& step : steps_of(plain, from, 300, 2000, 200000)) {
      for (size_t i = 0; i < step.run; ++i) literals_.push_back(plain[at + i]);
      at += step.run + step.match;
      run_.symbols.push_back(symbol_of(step.run, run_.bits));
      match_.symbols.push_back(symbol_of(step.match, match_.bits));
      distance_.symbols.push_back(
          symbol_of(step.distance == before ? 0 : step.distance, distance_.bits));
      if (step.distance != 0) before = step.distance;
    }
    while (literals_.size() % 4 != 0) literals_.push_back(literals_.back());
  }

  Buffer encode(bool v2) {
    encode_literals();
    // Decoders read eight bytes at a time: encoders put zeroes where the stream ends.
    match_stream_.push(0, 64);
    const Model run = run_.model(), match = match_.model(), distance = distance_.model();
    for (size_t i = run_.symbols.size(); i-- > 0;) {
      push(distance_, distance, i);
      push(match_, match, i);
      push(run_, run, i);
    }
    for (const Model* m : {&run, &match, &distance}) {
      frequencies_.insert(frequencies_.end(), m->frequencies().begin(), m->frequencies().end());
    }
    frequencies_.insert(frequencies_.end(), literal_frequencies_.begin(),
                        literal_frequencies_.end());
    Buffer out = v2 ? header_v2() : header_v1();
    append(out, literal_stream_.bytes());
    append(out, match_stream_.bytes());
    return out;
  }

 private:
  void push(Field& field, const Model& model, size_t i) {
    const Symbol& s = field.symbols[i];
    match_stream_.push(s.rest, s.bits);
    field.state = model.encode(s.symbol, field.state, match_stream_);
  }
  void encode_literals() {
    std::vector<size_t> counts(256);
    for (const std::byte b : literals_) ++counts[std::to_integer<size_t>(b)];
    const Model model(counts, 1024);
    for (size_t i = literals_.size(); i-- > 0;) {
      size_t& state = literal_states_[i % 4];
      state = model.encode(std::to_integer<size_t>(literals_[i]), state, literal_stream_);
    }
    literal_frequencies_ = model.frequencies();
  }
  Buffer header_v1() const {
    Buffer out;
    put(out, 0x31787662, 4);
    put(out, raw_, 4);
    put(out, literal_stream_.bytes().size() + match_stream_.bytes().size(), 4);
    put(out, literals_.size(), 4);
    put(out, run_.symbols.size(), 4);
    put(out, literal_stream_.bytes().size(), 4);
    put(out, match_stream_.bytes().size(), 4);
    put(out, -uint64_t{literal_stream_.missing()}, 4);
    for (const size_t state : literal_states_) put(out, state, 2);
    put(out, -uint64_t{match_stream_.missing()}, 4);
    for (const Field* f : {&run_, &match_, &distance_}) put(out, f->state, 2);
    for (const size_t f : frequencies_) put(out, f, 2);
    put(out, 0, 2);
    return out;
  }
  Buffer header_v2() const {
    ForwardBits packed;
    for (const size_t f : frequencies_) push_frequency(packed, f);
    Buffer out;
    put(out, 0x32787662, 4);
    put(out, raw_, 4);
    put(out,
        literals_.size() | literal_stream_.bytes().size() << 20 | run_.symbols.size() << 40 |
            uint64_t{7 - literal_stream_.missing()} << 60,
        8);
    uint64_t b = match_stream_.bytes().size() << 40 | uint64_t{7 - match_stream_.missing()} << 60;
    for (size_t i = 0; i < 4; ++i) b |= literal_states_[i] << 10 * i;
    put(out, b, 8);
    put(out,
        (32 + packed.bytes().size()) | run_.state << 32 | match_.state << 42 |
            distance_.state << 52,
        8);
    append(out, packed.bytes());
    return out;
  }

  size_t raw_;
  Buffer literals_;
  Field run_{length_bits({2, 3, 5, 8}), 64}, match_{length_bits({3, 5, 8, 11}), 64};
  Field distance_{distance_bits(), 256};
  std::array<size_t, 4> literal_states_ = {};
  std::vector<size_t> literal_frequencies_, frequencies_;
  ForwardBits literal_stream_, match_stream_;
};

Buffer stored_block(Bytes plain) {
  Buffer out;
  put(out, 0x2d787662, 4);
  put(out, plain.size(), 4);
  append(out, plain);
  return out;
}

Buffer lzvn_block(Bytes plain, size_t from) {
  const Buffer payload = lzvn_payload(plain, from);
  Buffer out;
  put(out, 0x6e787662, 4);
  put(out, plain.size() - from, 4);
  put(out, payload.size(), 4);
  append(out, payload);
  return out;
}

void put_literals(Buffer& out, Bytes literals) {
  if (literals.empty()) return;
  if (literals.size() < 16) {
    put(out, 0xe0 | literals.size(), 1);
  } else {
    put(out, 0xe0, 1);
    put(out, literals.size() - 16, 1);
  }
  append(out, literals);
}

}  // namespace

std::vector<std::byte> lzvn_payload(Bytes plain, size_t from) {
  Buffer out;
  size_t at = from, before = 0;
  for (const Step& step : steps_of(plain, from, 271, 271, 65535)) {
    Bytes literals = plain.subspan(at, step.run);
    at += step.run + step.match;
    if (step.match == 0 || step.run > 3) {
      put_literals(out, literals);
      literals = {};
    }
    if (step.match == 0) continue;
    // As much of the match as one instruction takes; the rest with the same distance.
    size_t rest = step.match;
    const size_t run = literals.size();
    if (step.distance == before && run == 0) {
      // Nothing of it yet.
    } else if (step.distance < 16384 && rest >= 11) {
      const size_t m = std::min<size_t>(rest, 34) - 3;
      put(out, 0xa0 | run << 3 | m >> 2, 1);
      put(out, (m & 3) | step.distance << 2, 2);
      rest -= m + 3;
    } else {
      // With two or three literals matches are shorter: the bits mean something else.
      const size_t most = run == 0 || run == 2 ? (run == 2 ? 6 : 10) : run == 1 ? 8 : 4;
      const size_t m = std::min(rest, most) - 3;
      const size_t op = run << 6 | m << 3;
      if (step.distance == before) {
        put(out, op | 6, 1);
      } else if (step.distance < 1536) {
        put(out, op | step.distance >> 8, 1);
        put(out, step.distance & 255, 1);
      } else {
        put(out, op | 7, 1);
        put(out, step.distance, 2);
      }
      rest -= m + 3;
    }
    append(out, literals);
    before = step.distance;
    if (out.size() % 5 == 0) put(out, out.size() % 2 == 0 ? 0x0e : 0x16, 1);
    while (rest > 0) {
      const size_t m = rest > 16 ? rest : std::min<size_t>(rest, 15);
      put(out, rest > 16 ? 0xf0 : 0xf0 | m, 1);
      if (rest > 16) put(out, m - 16, 1);
      rest -= m;
    }
  }
  put(out, 0x06, 8);
  return out;
}

std::vector<std::byte> lzfse_encode(Bytes plain, const LzfseBlocks& how) {
  using Kind = LzfseBlocks::Kind;
  Buffer out;
  unsigned turn = 0;
  for (size_t from = 0; from < plain.size(); ++turn) {
    const size_t end = std::min(plain.size(), from + how.block);
    const Bytes upto = plain.first(end);
    const Kind kind = how.kind == Kind::mixed ? static_cast<Kind>(turn % 4) : how.kind;
    switch (kind) {
      case Kind::stored: append(out, stored_block(upto.subspan(from))); break;
      case Kind::lzvn: append(out, lzvn_block(upto, from)); break;
      default: append(out, Block(upto, from).encode(kind == Kind::v2)); break;
    }
    from = end;
  }
  if (how.end_mark) put(out, 0x24787662, 4);
  return out;
}

}  // namespace platter::test
