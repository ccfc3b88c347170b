// The ciphers of CipherSpec by OpenSSL's EVP. A context holds the expanded key and takes a new IV
// for each sector; there are as many as calls at once.
#include <openssl/evp.h>

#include <array>
#include <vector>

#include <fmt/format.h>

#include "lib/base/endian.h"
#include "lib/base/sync.h"
#include "lib/crypto/cipher.h"

namespace platter {
namespace {

constexpr size_t kIvSize = 16;
using IvBytes = std::array<unsigned char, kIvSize>;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

ContextPtr new_context() {
  ContextPtr context(EVP_CIPHER_CTX_new());
  if (context == nullptr) throw std::bad_alloc();
  return context;
}

const EVP_CIPHER* evp_for(CipherSpec::Mode mode, size_t key_bytes) {
  using Mode = CipherSpec::Mode;
  switch (mode) {
    case Mode::xts: return key_bytes == 32 ? EVP_aes_128_xts() : EVP_aes_256_xts();
    case Mode::cbc:
      return key_bytes == 16   ? EVP_aes_128_cbc()
             : key_bytes == 24 ? EVP_aes_192_cbc()
                               : EVP_aes_256_cbc();
    case Mode::ecb:
      return key_bytes == 16   ? EVP_aes_128_ecb()
             : key_bytes == 24 ? EVP_aes_192_ecb()
                               : EVP_aes_256_ecb();
  }
  return nullptr;
}

Error failed() { return {Errc::io, "the cipher failed in OpenSSL"}; }

// Any number of contexts with one key in one direction.
class Contexts {
 public:
  Result<void> start(const EVP_CIPHER* cipher, Bytes key, bool encrypt) {
    first_ = new_context();
    const auto* const raw = reinterpret_cast<const unsigned char*>(key.data());
    if (EVP_CipherInit_ex(first_.get(), cipher, nullptr, raw, nullptr, encrypt ? 1 : 0) != 1 ||
        EVP_CIPHER_CTX_set_padding(first_.get(), 0) != 1) {
      return Error(Errc::invalid, "OpenSSL refuses the key");
    }
    return {};
  }

  // Null: OpenSSL failed.
  ContextPtr take() EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      if (!free_.empty()) {
        ContextPtr context = std::move(free_.back());
        free_.pop_back();
        return context;
      }
    }
    ContextPtr context = new_context();
    return EVP_CIPHER_CTX_copy(context.get(), first_.get()) == 1 ? std::move(context) : nullptr;
  }
  void give_back(ContextPtr context) EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    free_.push_back(std::move(context));
  }

 private:
  ContextPtr first_;  // only ever copied
  Mutex mutex_;
  std::vector<ContextPtr> free_ GUARDED_BY(mutex_);
};

bool run(EVP_CIPHER_CTX* context, const unsigned char* iv, unsigned char* bytes, size_t size) {
  int done = 0;
  if (iv != nullptr && EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, iv, -1) != 1) {
    return false;
  }
  return EVP_CipherUpdate(context, bytes, &done, bytes, static_cast<int>(size)) == 1 &&
         static_cast<size_t>(done) == size;
}

class Aes final : public Cipher {
 public:
  explicit Aes(const CipherSpec& spec) : spec_(spec) {}

  Result<void> start(Bytes key) {
    const EVP_CIPHER* const cipher = evp_for(spec_.mode, key.size());
    TRY(encrypting_.start(cipher, key, true));
    TRY(decrypting_.start(cipher, key, false));
    if (!has_essiv()) return {};
    Secret iv_key(digest_size(spec_.essiv_hash));
    TRY(digest(spec_.essiv_hash, {key}, iv_key.bytes()));
    return iv_.start(evp_for(CipherSpec::Mode::ecb, iv_key.size()), iv_key.bytes(), true);
  }

  Result<void> encrypt(uint64_t tweak, MutableBytes sectors) const override {
    return transform(encrypting_, tweak, sectors);
  }
  Result<void> decrypt(uint64_t tweak, MutableBytes sectors) const override {
    return transform(decrypting_, tweak, sectors);
  }

 private:
  bool has_essiv() const {
    return spec_.mode != CipherSpec::Mode::ecb && spec_.iv == CipherSpec::Iv::essiv;
  }

  Result<void> transform(Contexts& contexts, uint64_t tweak, MutableBytes sectors) const {
    ContextPtr context = contexts.take();
    ContextPtr iv_context = has_essiv() ? iv_.take() : nullptr;
    bool good = context != nullptr && (iv_context != nullptr || !has_essiv());
    good = good && transform_all(context.get(), iv_context.get(), tweak / kSector, sectors);
    if (!good) return failed();
    contexts.give_back(std::move(context));
    if (iv_context != nullptr) iv_.give_back(std::move(iv_context));
    return {};
  }

  bool transform_all(EVP_CIPHER_CTX* context, EVP_CIPHER_CTX* iv_context, uint64_t sector,
                     MutableBytes sectors) const {
    auto* at = reinterpret_cast<unsigned char*>(sectors.data());
    for (const auto* const end = at + sectors.size(); at != end; at += kSector, ++sector) {
      if (spec_.mode == CipherSpec::Mode::ecb) {
        if (!run(context, nullptr, at, kSector)) return false;
        continue;
      }
      IvBytes iv{};
      const le64 number(spec_.iv == CipherSpec::Iv::plain ? sector & 0xffff'ffff : sector);
      std::memcpy(iv.data(), &number, sizeof number);
      if (iv_context != nullptr && !run(iv_context, nullptr, iv.data(), iv.size())) return false;
      if (!run(context, iv.data(), at, kSector)) return false;
    }
    return true;
  }

  const CipherSpec spec_;
  mutable Contexts encrypting_, decrypting_, iv_;
};

}  // namespace

Result<CipherPtr> make_cipher(const CipherSpec& spec, Bytes key) {
  if (!good_key_size(spec, key.size())) {
    return Error(Errc::invalid,
                 fmt::format("aes-{} has no key of {} bytes", spec.mode_text(), key.size()));
  }
  auto cipher = std::make_shared<Aes>(spec);
  TRY(cipher->start(key));
  return CipherPtr(std::move(cipher));
}

}  // namespace platter
