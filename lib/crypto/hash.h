// Hashes, and what is made of them to turn a passphrase into a key.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string_view>

#include "lib/base/range.h"
#include "lib/base/result.h"

namespace platter {

enum class Hash : unsigned char { sha1, sha224, sha256, sha384, sha512, ripemd160 };

// By the name LUKS headers and qemu-img have: "sha256". Empty: none of those above.
std::optional<Hash> find_hash(std::string_view name);
std::string_view hash_name(Hash hash);
size_t digest_size(Hash hash);  // bytes, at most 64

// Of the parts one behind the other. out: digest_size() bytes. Errc::unsupported: the host's
// OpenSSL has been told not to do this one.
Result<void> digest(Hash hash, std::initializer_list<Bytes> parts, MutableBytes out);

// A digest of bytes that come piece by piece. Thread safety: none.
class RunningDigest {
 public:
  explicit RunningDigest(Hash hash);
  // Errc::unsupported as digest().
  Result<void> add(Bytes bytes);
  // Once, at the end. out: digest_size() bytes.
  Result<void> finish(MutableBytes out);

 private:
  struct Free {
    void operator()(void* context) const;
  };
  const Hash hash_;
  std::unique_ptr<void, Free> context_;
  bool good_ = false;
};

// PBKDF2 (RFC 8018, section 5.2) with HMAC. Takes as long as iterations say: 1 to kMaxIterations.
inline constexpr uint32_t kMaxIterations = 100'000'000;
Result<void> pbkdf2(Hash hash, Bytes passphrase, Bytes salt, uint32_t iterations, MutableBytes out);

// How many iterations of PBKDF2 for so many bytes take about that long on this machine now.
Result<uint32_t> measure_iterations(Hash hash, size_t out_bytes, uint32_t milliseconds);

}  // namespace platter
