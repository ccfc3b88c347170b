#include "lib/crypto/cipher.h"

#include <fmt/format.h>

namespace platter {
namespace {

using Iv = CipherSpec::Iv;
using Mode = CipherSpec::Mode;

class Locked final : public Cipher {
 public:
  Result<void> encrypt(uint64_t /*tweak*/, MutableBytes /*sectors*/) const override {
    return no_key_error();
  }
  Result<void> decrypt(uint64_t /*tweak*/, MutableBytes /*sectors*/) const override {
    return no_key_error();
  }
};

Error unknown(std::string_view what, std::string_view name) {
  return {Errc::unsupported, fmt::format("the {} \"{}\" is not supported", what, name)};
}

Result<void> take_iv(std::string_view text, CipherSpec& spec) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  // Behind plain and plain64 a hash means nothing.
  if (name == "plain" || name == "plain64") {
    spec.iv = name == "plain" ? Iv::plain : Iv::plain64;
    return {};
  }
  if (name != "essiv") return unknown("IV generator", name);
  spec.iv = Iv::essiv;
  if (colon == std::string_view::npos) {
    return Error(Errc::unsupported, "the IV generator essiv needs a hash: essiv:sha256");
  }
  const std::string_view hash = text.substr(colon + 1);
  const auto found = find_hash(hash);
  // It makes the key of an AES.
  if (!found || digest_size(*found) != 32) {
    return unknown("hash of the IV generator", hash);
  }
  spec.essiv_hash = *found;
  return {};
}

}  // namespace

std::string CipherSpec::mode_text() const {
  static constexpr std::string_view kModes[] = {"ecb", "cbc", "xts"};
  static constexpr std::string_view kIvs[] = {"plain", "plain64", "essiv"};
  std::string text =
      fmt::format("{}-{}", kModes[static_cast<size_t>(mode)], kIvs[static_cast<size_t>(iv)]);
  if (iv == Iv::essiv) text += fmt::format(":{}", hash_name(essiv_hash));
  return text;
}

bool good_key_size(const CipherSpec& spec, size_t key_bytes) {
  if (spec.mode == Mode::xts) return key_bytes == 32 || key_bytes == 64;
  return key_bytes == 16 || key_bytes == 24 || key_bytes == 32;
}

Result<CipherSpec> parse_cipher(std::string_view name, std::string_view mode) {
  if (name != "aes") return unknown("cipher", name);
  CipherSpec spec;
  const size_t dash = mode.find('-');
  const std::string_view chaining = mode.substr(0, dash);
  if (chaining == "ecb") {
    spec.mode = Mode::ecb;
  } else if (chaining == "cbc") {
    spec.mode = Mode::cbc;
  } else if (chaining != "xts") {
    return unknown("cipher mode", mode);
  }
  if (dash != std::string_view::npos) {
    TRY(take_iv(mode.substr(dash + 1), spec));
  } else if (spec.mode != Mode::ecb) {
    return Error(Errc::unsupported,
                 fmt::format("the cipher mode \"{}\" names no IV generator", mode));
  }
  return spec;
}

CipherPtr locked_cipher() {
  static const CipherPtr locked = std::make_shared<Locked>();
  return locked;
}

Error no_key_error() {
  return {Errc::no_key, "is encrypted, and its key is not given (key-file=FILE gives it)"};
}

}  // namespace platter
