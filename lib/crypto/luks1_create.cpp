#include "lib/crypto/luks1_create.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "lib/base/uuid.h"
#include "lib/crypto/luks1_layout.h"

namespace platter {
namespace {

using Mode = CipherSpec::Mode;

constexpr uint64_t kAlignment = 8 * kLuksSector;  // of key material, as everybody has it
constexpr uint32_t kMaxMilliseconds = 60'000;

Error invalid(std::string_view name, std::string_view value, std::string_view wanted) {
  return {Errc::invalid, fmt::format("{}={}: {}", name, value, wanted)};
}

template <class T, size_t N>
Result<T> one_of(std::string_view option, std::string_view value,
                 const std::array<std::pair<std::string_view, T>, N>& choices) {
  std::vector<std::string_view> names;
  for (const auto& [name, meaning] : choices) {
    if (name == value) return meaning;
    names.push_back(name);
  }
  return invalid(option, value, fmt::format("must be one of {}", fmt::join(names, ", ")));
}

Result<Hash> hash_of(std::string_view option, std::string_view value) {
  if (const auto hash = find_hash(value)) return *hash;
  return invalid(option, value, "must be one of sha1, sha224, sha256, sha384, sha512, ripemd160");
}

uint64_t material_size(const LuksShape& shape) {
  return align_up(uint64_t{shape.key_bytes} * kLuksStripes, kAlignment);
}

template <size_t N>
void put_text(std::array<char, N>& to, std::string_view text) {
  std::copy(text.begin(), text.end(), to.begin());
}

}  // namespace

Result<LuksShape> parse_luks_shape(const std::function<std::string_view(std::string_view)>& value) {
  const auto given = [&](std::string_view name, std::string_view fallback) {
    const std::string_view found = value(name);
    return found.empty() ? fallback : found;
  };
  LuksShape shape;
  const auto bytes = TRY(one_of<size_t, 3>("cipher-alg", given("cipher-alg", "aes-256"),
                                           {{{"aes-128", 16}, {"aes-192", 24}, {"aes-256", 32}}}));
  shape.cipher.mode =
      TRY(one_of<Mode, 3>("cipher-mode", given("cipher-mode", "xts"),
                          {{{"xts", Mode::xts}, {"cbc", Mode::cbc}, {"ecb", Mode::ecb}}}));
  shape.cipher.iv = TRY(one_of<CipherSpec::Iv, 3>("ivgen-alg", given("ivgen-alg", "plain64"),
                                                  {{{"plain", CipherSpec::Iv::plain},
                                                    {"plain64", CipherSpec::Iv::plain64},
                                                    {"essiv", CipherSpec::Iv::essiv}}}));
  const std::string_view iv_hash = value("ivgen-hash-alg");
  if (shape.cipher.iv != CipherSpec::Iv::essiv && !iv_hash.empty()) {
    return invalid("ivgen-hash-alg", iv_hash, "goes with ivgen-alg=essiv only");
  }
  shape.cipher.essiv_hash = TRY(one_of<Hash, 1>("ivgen-hash-alg", given("ivgen-hash-alg", "sha256"),
                                                {{{"sha256", Hash::sha256}}}));
  shape.hash = TRY(hash_of("hash-alg", given("hash-alg", "sha256")));
  shape.key_bytes = shape.cipher.mode == Mode::xts ? 2 * bytes : bytes;
  if (!good_key_size(shape.cipher, shape.key_bytes)) {
    return invalid("cipher-alg", value("cipher-alg"), "there is no such AES in XTS");
  }
  const std::string_view time = given("iter-time", "2000");
  const auto [end, fault] =
      std::from_chars(time.data(), time.data() + time.size(), shape.milliseconds);
  if (fault != std::errc() || end != time.data() + time.size() || shape.milliseconds == 0 ||
      shape.milliseconds > kMaxMilliseconds) {
    return invalid("iter-time", time, fmt::format("must be 1 to {} ms", kMaxMilliseconds));
  }
  return shape;
}

uint64_t luks_size(const LuksShape& shape) {
  return kAlignment + kLuksSlots * material_size(shape);
}

Result<NewLuks> make_luks(const LuksShape& shape, uint64_t payload_offset, Bytes passphrase) {
  const LuksAlgorithms algorithms{shape.cipher, shape.hash};
  const uint32_t iterations =
      TRY(measure_iterations(shape.hash, shape.key_bytes, shape.milliseconds));
  const Secret key = Secret::random(shape.key_bytes);
  NewLuks made{.material_offset = kAlignment};
  LuksSlot slot{.material = {kAlignment, align_up(shape.key_bytes * kLuksStripes, kLuksSector)},
                .stripes = kLuksStripes};
  made.material = TRY(make_luks_material({.algorithms = algorithms,
                                          .key = key.bytes(),
                                          .passphrase = passphrase,
                                          .iterations = iterations},
                                         slot));
  made.cipher = TRY(make_cipher(shape.cipher, key.bytes()));

  RawLuksHeader raw{.magic = kLuksMagic, .version = 1};
  put_text(raw.cipher_name, "aes");
  put_text(raw.cipher_mode, shape.cipher.mode_text());
  put_text(raw.hash_spec, hash_name(shape.hash));
  put_text(raw.uuid, Uuid::random().to_string());
  raw.payload_offset = static_cast<uint32_t>(payload_offset / kLuksSector);
  raw.key_bytes = static_cast<uint32_t>(shape.key_bytes);
  raw.digest_iterations = std::max(iterations / 8, uint32_t{1000});
  fill_random(raw.digest_salt);
  TRY(pbkdf2(shape.hash, key.bytes(), raw.digest_salt, raw.digest_iterations, raw.digest));
  for (size_t i = 0; i < kLuksSlots; ++i) {
    raw.slots[i] = {.active = kLuksInactive,
                    .material_offset = static_cast<uint32_t>(
                        (kAlignment + i * material_size(shape)) / kLuksSector),
                    .stripes = kLuksStripes};
  }
  raw.slots[0].active = kLuksActive;
  raw.slots[0].iterations = slot.iterations;
  raw.slots[0].salt = slot.salt;
  const Bytes bytes = as_bytes_of(raw);
  made.header.assign(bytes.begin(), bytes.end());
  return made;
}

}  // namespace platter
