#include <algorithm>

#include <fmt/format.h>

#include "lib/crypto/af_split.h"
#include "lib/crypto/luks1.h"

namespace platter {
namespace {

Result<void> expect_bearable(std::string_view what, uint32_t iterations) {
  if (iterations <= kMaxIterations) return {};
  return Error(Errc::unsupported,
               fmt::format("LUKS header: {} asks for {} iterations: more than {} are not tried",
                           what, iterations, kMaxIterations));
}

Result<bool> is_master_key(const LuksHeader& header, Hash hash, Bytes key) {
  std::array<std::byte, 20> seen{};
  TRY(pbkdf2(hash, key, header.digest_salt, header.digest_iterations, seen));
  return equal_in_constant_time(seen, header.digest);
}

// The key a slot gives for the passphrase, right or wrong.
Result<Secret> key_in(const LuksPlace& place, const LuksHeader& header, const LuksSlot& slot,
                      const LuksAlgorithms& known, Bytes passphrase) {
  Secret derived(header.key_bytes);
  TRY(pbkdf2(known.hash, passphrase, slot.salt, slot.iterations, derived.bytes()));
  // The material counts its sectors from its own start.
  const CipherPtr cipher = TRY(make_cipher(known.cipher, derived.bytes()));
  Secret split(slot.material.length);
  TRY(place.file->read_exact(place.range.offset + slot.material.offset, split.bytes()));
  TRY(cipher->decrypt(0, split.bytes()));
  split.cut(header.key_bytes * slot.stripes);
  Secret key(header.key_bytes);
  TRY(af_merge(known.hash, split.bytes(), slot.stripes, key.bytes()));
  return key;
}

}  // namespace

Result<LuksUnlocked> unlock_luks(const LuksPlace& place, const LuksHeader& header,
                                 Bytes passphrase) {
  const LuksAlgorithms known = TRY(luks_algorithms(header));
  TRY(expect_bearable("its digest", header.digest_iterations));
  bool any = false;
  for (size_t i = 0; i < kLuksSlots; ++i) {
    const LuksSlot& slot = header.slots[i];
    if (!slot.active) continue;
    any = true;
    TRY(expect_bearable(fmt::format("key slot {}", i), slot.iterations));
    Secret key = TRY(key_in(place, header, slot, known, passphrase));
    if (TRY(is_master_key(header, known.hash, key.bytes()))) {
      return LuksUnlocked{std::move(key), i};
    }
  }
  if (!any) return Error(Errc::corrupt, "LUKS header: no key slot is active: no key opens it");
  const bool newline = !passphrase.empty() && passphrase.back() == std::byte{'\n'};
  return Error(Errc::no_key, newline ? "wrong passphrase (it ends with a newline, which counts)"
                                     : "wrong passphrase");
}

Result<CipherPtr> luks_cipher(const LuksPlace& place, const LuksHeader& header, KeySource* keys) {
  if (keys == nullptr) return locked_cipher();
  // Before anybody is asked for a passphrase.
  const LuksAlgorithms known = TRY(luks_algorithms(header));
  const Bytes passphrase = TRY(keys->passphrase(place.file->name()));
  const LuksUnlocked unlocked = TRY(unlock_luks(place, header, passphrase));
  return make_cipher(known.cipher, unlocked.key.bytes());
}

Result<Secret> make_luks_material(const LuksMaterialRequest& request, LuksSlot& slot) {
  const auto& [algorithms, key, passphrase, iterations] = request;
  slot.iterations = std::clamp(iterations, uint32_t{1000}, kMaxIterations);
  fill_random(slot.salt);
  Secret derived(key.size());
  TRY(pbkdf2(algorithms.hash, passphrase, slot.salt, slot.iterations, derived.bytes()));
  const CipherPtr cipher = TRY(make_cipher(algorithms.cipher, derived.bytes()));
  Secret material(slot.material.length);
  const MutableBytes split = material.bytes().first(key.size() * slot.stripes);
  TRY(af_split(algorithms.hash, key, slot.stripes, split));
  TRY(cipher->encrypt(0, material.bytes()));
  return material;
}

}  // namespace platter
