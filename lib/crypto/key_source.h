// KeySource: where the passphrase of an encrypted image comes from.
#pragma once

#include <string_view>

#include "lib/base/result.h"
#include "lib/crypto/secret.h"

namespace platter {

// Thread safety: one thread.
class KeySource {
 public:
  virtual ~KeySource() = default;
  // image: its file's name, for a prompt. Errc::no_key: there is none. The bytes live as long as
  // this object.
  virtual Result<Bytes> passphrase(std::string_view image) = 0;
};

}  // namespace platter
