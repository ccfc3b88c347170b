// The manifest of an appliance: digests of its members.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/crypto/hash.h"

namespace platter::ova {

struct ListedDigest {
  std::string member;
  Hash hash = Hash::sha1;
  std::vector<std::byte> value;
};

// Lines of "SHA256(name)= hex". Errc::corrupt: another line, or a digest of a wrong length;
// unsupported: a hash that is not known.
Result<std::vector<ListedDigest>> parse_manifest(std::string_view text);

}  // namespace platter::ova
