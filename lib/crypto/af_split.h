// The anti-forensic splitter of LUKS (on-disk format 1.2.3, section 2.4): a key spread over so many
// bytes that to lose a few of them is to lose it.
#pragma once

#include "lib/crypto/hash.h"

namespace platter {

// split: key.size() * stripes bytes; stripes: at least 1.
Result<void> af_split(Hash hash, Bytes key, uint32_t stripes, MutableBytes split);
Result<void> af_merge(Hash hash, Bytes split, uint32_t stripes, MutableBytes key);

// The diffuser: each block of the digest's size is replaced by a hash of it and its number.
Result<void> af_diffuse(Hash hash, MutableBytes block);

}  // namespace platter
