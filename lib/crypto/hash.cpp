#include "lib/crypto/hash.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace platter {
namespace {

struct Known {
  std::string_view name;
  size_t size;
  const EVP_MD* (*make)();
};
// In the order of Hash.
constexpr std::array<Known, 6> kKnown = {{{"sha1", 20, EVP_sha1},
                                          {"sha224", 28, EVP_sha224},
                                          {"sha256", 32, EVP_sha256},
                                          {"sha384", 48, EVP_sha384},
                                          {"sha512", 64, EVP_sha512},
                                          {"ripemd160", 20, EVP_ripemd160}}};

const Known& known(Hash hash) { return kKnown[static_cast<size_t>(hash)]; }

const unsigned char* raw(Bytes bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

Error not_here(Hash hash) {
  return {Errc::unsupported, "the hash " + std::string(hash_name(hash)) +
                                 " is not to be had from this host's OpenSSL"};
}

}  // namespace

std::optional<Hash> find_hash(std::string_view name) {
  const auto* const found = std::ranges::find(kKnown, name, &Known::name);
  if (found == kKnown.end()) return std::nullopt;
  return static_cast<Hash>(found - kKnown.begin());
}

std::string_view hash_name(Hash hash) { return known(hash).name; }

size_t digest_size(Hash hash) { return known(hash).size; }

Result<void> digest(Hash hash, std::initializer_list<Bytes> parts, MutableBytes out) {
  RunningDigest running(hash);
  for (const Bytes part : parts) TRY(running.add(part));
  return running.finish(out);
}

void RunningDigest::Free::operator()(void* context) const {
  EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context));
}

RunningDigest::RunningDigest(Hash hash) : hash_(hash), context_(EVP_MD_CTX_new()) {
  if (context_ == nullptr) throw std::bad_alloc();
  auto* const context = static_cast<EVP_MD_CTX*>(context_.get());
  good_ = EVP_DigestInit_ex(context, known(hash).make(), nullptr) == 1;
}

Result<void> RunningDigest::add(Bytes bytes) {
  auto* const context = static_cast<EVP_MD_CTX*>(context_.get());
  if (good_ && EVP_DigestUpdate(context, bytes.data(), bytes.size()) == 1) return {};
  return not_here(hash_);
}

Result<void> RunningDigest::finish(MutableBytes out) {
  auto* const context = static_cast<EVP_MD_CTX*>(context_.get());
  auto* const to = reinterpret_cast<unsigned char*>(out.data());
  if (good_ && EVP_DigestFinal_ex(context, to, nullptr) == 1) return {};
  return not_here(hash_);
}

Result<void> pbkdf2(Hash hash, Bytes passphrase, Bytes salt, uint32_t iterations,
                    MutableBytes out) {
  // OpenSSL takes a null pointer for "up to the NUL".
  const char* const text =
      passphrase.empty() ? "" : reinterpret_cast<const char*>(passphrase.data());
  const int done = PKCS5_PBKDF2_HMAC(text, static_cast<int>(passphrase.size()), raw(salt),
                                     static_cast<int>(salt.size()), static_cast<int>(iterations),
                                     known(hash).make(), static_cast<int>(out.size()),
                                     reinterpret_cast<unsigned char*>(out.data()));
  if (done == 1) return {};
  return not_here(hash);
}

Result<uint32_t> measure_iterations(Hash hash, size_t out_bytes, uint32_t milliseconds) {
  using Clock = std::chrono::steady_clock;
  const std::array<std::byte, 32> salt{};
  std::vector<std::byte> out(out_bytes);
  for (uint32_t tried = 1000;; tried *= 2) {
    const auto start = Clock::now();
    TRY(pbkdf2(hash, salt, salt, tried, out));
    const std::chrono::duration<double, std::milli> took = Clock::now() - start;
    if (took.count() < 20 && tried < kMaxIterations / 4) continue;
    const double wanted = tried / std::max(took.count(), 0.001) * milliseconds;
    return static_cast<uint32_t>(std::clamp(wanted, 1.0, double{kMaxIterations}));
  }
}

}  // namespace platter
