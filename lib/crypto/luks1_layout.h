// What stands in a LUKS version 1 header, as its specification has it. All numbers are big-endian.
#pragma once

#include <array>
#include <cstddef>

#include "lib/base/endian.h"

namespace platter {

inline constexpr uint64_t kLuksSector = 512;  // bytes

// LUKS on-disk format 1.2.3, section 2.1.
struct RawLuksSlot {
  be32 active;
  be32 iterations;
  std::array<std::byte, 32> salt;
  be32 material_offset;  // sectors from the header's start
  be32 stripes;
};
static_assert(sizeof(RawLuksSlot) == 48 && DiskStruct<RawLuksSlot>);
inline constexpr uint32_t kLuksActive = 0x00ac71f3;
inline constexpr uint32_t kLuksInactive = 0x0000dead;

struct RawLuksHeader {
  std::array<char, 6> magic;
  be16 version;
  std::array<char, 32> cipher_name;
  std::array<char, 32> cipher_mode;
  std::array<char, 32> hash_spec;
  be32 payload_offset;  // sectors
  be32 key_bytes;
  std::array<std::byte, 20> digest;
  std::array<std::byte, 32> digest_salt;
  be32 digest_iterations;
  std::array<char, 40> uuid;
  std::array<RawLuksSlot, 8> slots;
};
static_assert(sizeof(RawLuksHeader) == 592 && DiskStruct<RawLuksHeader>);
static_assert(offsetof(RawLuksHeader, payload_offset) == 104);
static_assert(offsetof(RawLuksHeader, digest_iterations) == 164);
static_assert(offsetof(RawLuksHeader, slots) == 208);
inline constexpr std::array<char, 6> kLuksMagic = {'L', 'U', 'K', 'S', '\xba', '\xbe'};

}  // namespace platter
