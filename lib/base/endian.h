// Integers whose type is their byte order on disk, so a structure can be read straight into place.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "lib/base/range.h"

namespace platter {

// GCC and clang turn this loop into one bswap.
template <std::unsigned_integral T>
constexpr T swap_bytes(T value) {
  T result = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    result = static_cast<T>((result << 8) | (value & 0xff));
    value = static_cast<T>(value >> 8);
  }
  return result;
}

template <std::unsigned_integral T, std::endian Order>
class [[gnu::packed]] DiskInt {
 public:
  constexpr DiskInt() = default;
  constexpr DiskInt(T value) : raw_(convert(value)) {}
  constexpr operator T() const { return convert(raw_); }

 private:
  static constexpr T convert(T value) {
    if constexpr (Order == std::endian::native || sizeof(T) == 1) return value;
    return swap_bytes(value);
  }
  T raw_ = 0;
};

using le16 = DiskInt<uint16_t, std::endian::little>;
using le32 = DiskInt<uint32_t, std::endian::little>;
using le64 = DiskInt<uint64_t, std::endian::little>;
using be16 = DiskInt<uint16_t, std::endian::big>;
using be32 = DiskInt<uint32_t, std::endian::big>;
using be64 = DiskInt<uint64_t, std::endian::big>;

// A structure made of the integers above and of byte arrays: no padding, any address.
template <class T>
concept DiskStruct = std::is_trivially_copyable_v<T> && alignof(T) == 1;

// The T at bytes[offset]; the caller has checked that it is inside.
template <DiskStruct T>
T load(Bytes bytes, size_t offset = 0) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}
template <DiskStruct T>
void store(MutableBytes bytes, size_t offset, const T& value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}
template <DiskStruct T>
Bytes as_bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}
inline void append(std::vector<std::byte>& out, Bytes bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace platter
