// New LUKS version 1 headers.
#pragma once

#include <functional>

#include "lib/crypto/luks1.h"

namespace platter {

// By the names and with the defaults qemu-img has.
struct LuksShape {
  CipherSpec cipher;
  size_t key_bytes = 64;
  Hash hash = Hash::sha256;
  uint32_t milliseconds = 2000;  // that trying a passphrase takes
};

// value: of the option cipher-alg, cipher-mode, ivgen-alg, ivgen-hash-alg, hash-alg or iter-time;
// empty: its default. Errc::invalid names the option.
Result<LuksShape> parse_luks_shape(const std::function<std::string_view(std::string_view)>& value);

// Bytes of header and key material, as they lie in front of a payload.
uint64_t luks_size(const LuksShape& shape);

// A header with one key slot active, and the key it hides.
struct NewLuks {
  std::vector<std::byte> header;  // kLuksHeaderSize bytes
  Secret material;                // of slot 0
  uint64_t material_offset = 0;   // bytes, from the header's start
  CipherPtr cipher;
};
// payload_offset: bytes, whole sectors.
Result<NewLuks> make_luks(const LuksShape& shape, uint64_t payload_offset, Bytes passphrase);

}  // namespace platter
