#include "lib/crypto/af_split.h"

#include <array>
#include <cstring>

#include "lib/base/endian.h"
#include "lib/crypto/secret.h"

namespace platter {
namespace {

void add(MutableBytes to, Bytes stripe) {
  for (size_t i = 0; i < to.size(); ++i) to[i] ^= stripe[i];
}

// All stripes but the last, mixed into sum.
Result<void> mix(Hash hash, Bytes split, uint32_t stripes, MutableBytes sum) {
  for (uint32_t i = 0; i + 1 < stripes; ++i) {
    add(sum, split.subspan(i * sum.size(), sum.size()));
    TRY(af_diffuse(hash, sum));
  }
  return {};
}

}  // namespace

Result<void> af_diffuse(Hash hash, MutableBytes block) {
  const size_t size = digest_size(hash);
  std::array<std::byte, 64> space{};
  const MutableBytes whole = MutableBytes(space).first(size);
  for (uint32_t i = 0; !block.empty(); ++i) {
    const be32 number(i);
    const MutableBytes part = block.first(std::min(size, block.size()));
    TRY(digest(hash, {as_bytes_of(number), part}, whole));
    std::memcpy(part.data(), whole.data(), part.size());
    block = block.subspan(part.size());
  }
  wipe(space);
  return {};
}

Result<void> af_split(Hash hash, Bytes key, uint32_t stripes, MutableBytes split) {
  const size_t before = key.size() * (stripes - 1);
  fill_random(split.first(before));
  Secret sum(key.size());
  TRY(mix(hash, split, stripes, sum.bytes()));
  add(sum.bytes(), key);
  std::memcpy(split.data() + before, sum.bytes().data(), key.size());
  return {};
}

Result<void> af_merge(Hash hash, Bytes split, uint32_t stripes, MutableBytes key) {
  std::memset(key.data(), 0, key.size());
  TRY(mix(hash, split, stripes, key));
  add(key, split.subspan(key.size() * (stripes - 1), key.size()));
  return {};
}

}  // namespace platter
