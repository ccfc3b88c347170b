#include "lib/crypto/legacy_aes.h"

#include <cstring>

namespace platter {

Result<CipherPtr> legacy_aes_cipher(std::string_view image, KeySource* keys) {
  if (keys == nullptr) return locked_cipher();
  const Bytes passphrase = TRY(keys->passphrase(image));
  Secret key(16);
  if (!passphrase.empty()) {
    std::memcpy(key.bytes().data(), passphrase.data(), std::min(key.size(), passphrase.size()));
  }
  return make_cipher({.mode = CipherSpec::Mode::cbc, .iv = CipherSpec::Iv::plain64}, key.bytes());
}

}  // namespace platter
