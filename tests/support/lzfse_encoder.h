// Encoders of LZFSE for tests: they make every kind of block, and small ones on demand.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "lib/base/range.h"

namespace platter::test {

struct LzfseBlocks {
  enum class Kind : unsigned char { stored, lzvn, v1, v2, mixed };
  Kind kind = Kind::v2;
  size_t block = 16 * KiB;  // bytes a block makes, at most 40000; fewer matches than 10000 fit
  bool end_mark = true;
};

// A stream that makes plain.
std::vector<std::byte> lzfse_encode(Bytes plain, const LzfseBlocks& how = {});

// The payload of an LZVN block that makes plain[from, …), with every kind of instruction; what lies
// before may be referred to.
std::vector<std::byte> lzvn_payload(Bytes plain, size_t from = 0);

}  // namespace platter::test
