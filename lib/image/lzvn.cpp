#include "lib/image/lzvn.h"

#include "lib/base/endian.h"
#include "lib/image/back_reference.h"

namespace platter {
namespace {

// One instruction: take literals, then repeat match bytes from distance before. Bits in front of
// the operand bytes, L literals, M match, D distance; + is a further byte.
//   LLMMMDDD +D             D up to 2047; LL 00, 01, 10 or 11, where nothing below is meant
//   LLMMM111 +D +D          little-endian
//   LLMMM110                the distance of the last one
//   101LLMMM DDDDDDMM +D    little-endian, the lowest two bits are M's
//   1111MMMM, 11110000 +M   no literals, the distance of the last one; the second form adds 16
//   1110LLLL, 11100000 +L   literals alone; likewise
//   00000110                the end, with seven more bytes
//   00001110, 00010110      nothing
struct Instruction {
  enum class Kind : unsigned char { copy, nothing, end, invalid };
  Kind kind = Kind::copy;
  size_t size = 1;  // bytes, without the literals
  size_t literals = 0, match = 0;
  size_t distance = 0;  // 0: as before
};

constexpr size_t kEndSize = 8;

size_t number(Bytes payload, size_t at) { return std::to_integer<size_t>(payload[at]); }

// payload[0] is op; what the instruction needs of the rest may not be there.
size_t size_of(unsigned op) {
  if (op >= 0xe0) return (op & 0x0f) == 0 ? 2 : 1;
  if (op >= 0xa0 && op < 0xc0) return 3;
  if (op == 0x06) return kEndSize;
  switch (op & 7) {
    case 6: return 1;
    case 7: return 3;
    default: return 2;
  }
}

Instruction with_literals_only_or_match_only(unsigned op, Bytes payload) {
  Instruction i{.size = size_of(op)};
  const size_t length = (op & 0x0f) == 0 ? number(payload, 1) + 16 : op & 0x0f;
  (op >= 0xf0 ? i.match : i.literals) = length;
  return i;
}

Instruction read_instruction(Bytes payload) {
  using Kind = Instruction::Kind;
  const auto op = std::to_integer<unsigned>(payload[0]);
  Instruction i{.size = size_of(op)};
  if (payload.size() < i.size) return {.kind = Kind::invalid};
  if (op >= 0xe0) return with_literals_only_or_match_only(op, payload);
  if ((op & 0xf0) == 0x70 || (op & 0xf0) == 0xd0) return {.kind = Kind::invalid};
  if (op >= 0xa0 && op < 0xc0) {
    const size_t rest = load<le16>(payload, 1);
    i.literals = (op >> 3) & 3;
    i.match = ((op & 7) << 2 | (rest & 3)) + 3;
    i.distance = rest >> 2;
    if (i.distance == 0) i.kind = Kind::invalid;
    return i;
  }
  i.literals = op >> 6;
  i.match = ((op >> 3) & 7) + 3;
  if ((op & 7) == 6) {
    if (i.literals != 0) return i;
    i.kind = op == 0x06 ? Kind::end : op == 0x0e || op == 0x16 ? Kind::nothing : Kind::invalid;
    return i;
  }
  i.distance = (op & 7) == 7 ? size_t{load<le16>(payload, 1)} : (op & 7) << 8 | number(payload, 1);
  if (i.distance == 0) i.kind = Kind::invalid;
  return i;
}

}  // namespace

bool decode_lzvn(Bytes payload, MutableBytes unit, size_t& at) {
  size_t distance = 0;  // of the last match; none yet
  while (!payload.empty()) {
    const Instruction i = read_instruction(payload);
    if (i.kind == Instruction::Kind::end) return true;
    if (i.kind == Instruction::Kind::invalid) return false;
    payload = payload.subspan(i.size);
    if (i.kind == Instruction::Kind::nothing) continue;
    if (i.distance != 0) distance = i.distance;
    if (!take_literals(payload, unit, at, i.literals)) return false;
    if (i.match != 0 && !repeat_back(unit, at, distance, i.match)) return false;
  }
  return false;
}

}  // namespace platter
