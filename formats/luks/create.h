// New LUKS images.
#pragma once

#include <array>

#include "lib/image/format.h"

namespace platter::luks {

// By the names qemu-img gives them.
inline constexpr std::array<OptionSpec, 6> kCreateOptions = {{
    {"cipher-alg", "aes-128, aes-192 or aes-256", "aes-256"},
    {"cipher-mode", "xts, cbc or ecb", "xts"},
    {"ivgen-alg", "plain64, plain or essiv", "plain64"},
    {"ivgen-hash-alg", "of essiv: sha256", "sha256"},
    {"hash-alg", "sha1, sha224, sha256, sha384, sha512 or ripemd160", "sha256"},
    {"iter-time", "milliseconds that trying a passphrase takes", "2000"},
}};

Result<ImageWriterPtr> create_image(const CreateRequest& request);

}  // namespace platter::luks
