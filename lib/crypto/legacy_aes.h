// The encryption QEMU had before LUKS: qcow's, and crypt_method 1 of qcow2.
#pragma once

#include "lib/crypto/cipher.h"
#include "lib/crypto/key_source.h"

namespace platter {

// AES-128 in CBC, each sector by its number in the disk; the key is the passphrase's first 16
// bytes, zeroes behind them. No passphrase is wrong: another one shows other bytes. keys null:
// locked_cipher(). image: its file's name.
Result<CipherPtr> legacy_aes_cipher(std::string_view image, KeySource* keys);

}  // namespace platter
