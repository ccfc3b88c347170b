#include "formats/qcow2/packed_count.h"

namespace platter::qcow2 {
namespace {

template <class T>
uint64_t load_at(Bytes counts, uint64_t index) {
  return load<T>(counts, index * sizeof(T));
}

}  // namespace

uint64_t packed_count(Bytes counts, uint32_t order, uint64_t index) {
  switch (order) {
    case 3: return std::to_integer<uint64_t>(counts[index]);
    case 4: return load_at<be16>(counts, index);
    case 5: return load_at<be32>(counts, index);
    case 6: return load_at<be64>(counts, index);
    default: break;
  }
  const uint32_t per_byte_bits = kOrderOfByte - order;
  const auto shift = static_cast<uint32_t>((index & ((1U << per_byte_bits) - 1)) << order);
  return std::to_integer<uint64_t>(counts[index >> per_byte_bits]) >> shift & max_count(order);
}

void set_packed_count(MutableBytes counts, uint32_t order, uint64_t index, uint64_t value) {
  switch (order) {
    case 3: counts[index] = static_cast<std::byte>(value); return;
    case 4: return store(counts, index * 2, be16(static_cast<uint16_t>(value)));
    case 5: return store(counts, index * 4, be32(static_cast<uint32_t>(value)));
    case 6: return store(counts, index * 8, be64(value));
    default: break;
  }
  const uint32_t per_byte_bits = kOrderOfByte - order;
  const auto shift = static_cast<uint32_t>((index & ((1U << per_byte_bits) - 1)) << order);
  std::byte& at = counts[index >> per_byte_bits];
  at &= static_cast<std::byte>(~(max_count(order) << shift));
  at |= static_cast<std::byte>(value << shift);
}

}  // namespace platter::qcow2
