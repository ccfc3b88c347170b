// What the tests of every codec need: something to compress, and what comes of decoding it.
#pragma once

#include <vector>

#include <gtest/gtest.h>

#include "lib/image/extent.h"

namespace platter::test {

using Buffer = std::vector<std::byte>;

// Compresses well, and not to nothing.
inline Buffer text_like(size_t size) {
  Buffer out(size);
  uint32_t state = 1;
  for (std::byte& b : out) {
    state = state * 1103515245 + 12345;
    b = static_cast<std::byte>('a' + (state >> 16) % 7);
  }
  return out;
}

// What is stored decodes to plain; an error is one of what is stored.
inline bool decodes(const Codec& codec, const Buffer& stored, const Buffer& plain) {
  Buffer unit(plain.size(), std::byte{0xaa});
  const auto done = codec.decode(stored, unit);
  EXPECT_TRUE(done || done.error().code() == Errc::corrupt);
  return done && unit == plain;
}

}  // namespace platter::test
