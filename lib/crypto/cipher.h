// Cipher: what turns sectors of a disk into what an encrypted image keeps, and back.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/result.h"
#include "lib/crypto/hash.h"
#include "lib/crypto/secret.h"

namespace platter {

// Thread safe.
class Cipher {
 public:
  static constexpr uint64_t kSector = 512;  // bytes; each is encrypted by itself

  virtual ~Cipher() = default;
  // sectors: whole ones, changed in place. tweak: the byte offset of the first in the space the
  // format counts (of the guest, or of the file), a multiple of a sector. Errc::no_key: the image
  // was opened without its key.
  virtual Result<void> encrypt(uint64_t tweak, MutableBytes sectors) const = 0;
  virtual Result<void> decrypt(uint64_t tweak, MutableBytes sectors) const = 0;
};
using CipherPtr = std::shared_ptr<const Cipher>;

// AES in one of the ways disks are encrypted. The key's size tells which AES: 16, 24 or 32 bytes;
// twice 16 or twice 32 in XTS.
struct CipherSpec {
  enum class Mode : unsigned char { ecb, cbc, xts };
  // What a sector is known by: its number in 32 bits, in 64, or that encrypted with a hash of the
  // key. ECB has none of it.
  enum class Iv : unsigned char { plain, plain64, essiv };
  Mode mode = Mode::xts;
  Iv iv = Iv::plain64;
  Hash essiv_hash = Hash::sha256;

  // As a LUKS header has it: "xts-plain64", "cbc-essiv:sha256".
  std::string mode_text() const;
};
bool good_key_size(const CipherSpec& spec, size_t key_bytes);

// name: "aes"; mode: as mode_text(), or "ecb". Errc::unsupported names what is not known.
Result<CipherSpec> parse_cipher(std::string_view name, std::string_view mode);

// Errc::invalid when the key has no size the cipher can have.
Result<CipherPtr> make_cipher(const CipherSpec& spec, Bytes key);

// In place of the cipher of an image that was opened without its key: every use is Errc::no_key.
CipherPtr locked_cipher();
Error no_key_error();

}  // namespace platter
