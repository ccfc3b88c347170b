// LUKS version 1 headers (LUKS on-disk format 1.2.3), alone in front of a disk or inside another
// image.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "lib/crypto/cipher.h"
#include "lib/crypto/key_source.h"
#include "lib/io/file.h"

namespace platter {

inline constexpr size_t kLuksSlots = 8;
inline constexpr uint64_t kLuksHeaderSize = 592;  // bytes
inline constexpr uint32_t kLuksStripes = 4000;    // of key material, by all who write them
inline constexpr uint32_t kMaxLuksStripes = 16384;

struct LuksSlot {
  bool active = false;
  uint32_t iterations = 0;
  std::array<std::byte, 32> salt{};
  Range material;        // bytes, from the header's start
  uint32_t stripes = 0;  // the material has so many times the key's size, and the rest of a sector
  std::string problem;   // of one that is not active: why it cannot be used; else empty
};

// Every number has been checked.
struct LuksHeader {
  std::string cipher_name, cipher_mode, hash_spec, uuid;  // as stored; maybe not known here
  uint64_t payload_offset = 0;  // bytes, from the header's start; 0: detached
  size_t key_bytes = 0;         // 1 to 512
  std::array<std::byte, 20> digest{};
  std::array<std::byte, 32> digest_salt{};
  uint32_t digest_iterations = 0;
  std::array<LuksSlot, kLuksSlots> slots;
};

// Where a header is. The payload field counts only in front of a disk of its own.
struct LuksPlace {
  File* file = nullptr;
  Range range;  // header and key material, bytes of the file; in front of a disk all of the file
  bool has_payload = true;
};

// 0: does not begin as a LUKS header; else the version: 1, 2, or what it says.
uint32_t luks_version(Bytes head);

// Errc::wrong_format: no such header; unsupported: another version; corrupt: everything else.
Result<LuksHeader> parse_luks(const LuksPlace& place);

// What of it is known here; Errc::unsupported names what is not.
struct LuksAlgorithms {
  CipherSpec cipher;
  Hash hash = Hash::sha256;
};
Result<LuksAlgorithms> luks_algorithms(const LuksHeader& header);

// The master key, by the first slot the passphrase opens. Errc::no_key: it opens none; corrupt: no
// slot is active; unsupported: the header asks for more iterations than kMaxIterations.
struct LuksUnlocked {
  Secret key;
  size_t slot = 0;
};
Result<LuksUnlocked> unlock_luks(const LuksPlace& place, const LuksHeader& header,
                                 Bytes passphrase);

// The cipher of the image that has this header; keys null: locked_cipher().
Result<CipherPtr> luks_cipher(const LuksPlace& place, const LuksHeader& header, KeySource* keys);

// Key material of a slot: the key split, and encrypted with what the passphrase gives. Fills in the
// slot's salt and iterations.
struct LuksMaterialRequest {
  const LuksAlgorithms& algorithms;
  Bytes key, passphrase;
  uint32_t iterations = 0;
};
Result<Secret> make_luks_material(const LuksMaterialRequest& request, LuksSlot& slot);

}  // namespace platter
