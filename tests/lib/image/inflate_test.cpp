#include "lib/image/inflate.h"

#include <vector>

#include <gtest/gtest.h>
#include <libdeflate.h>
#include <zlib.h>

namespace platter {
namespace {

using Buffer = std::vector<std::byte>;

Buffer text(size_t size) {
  Buffer out(size);
  uint32_t state = 1;
  for (std::byte& b : out) {
    state = state * 1103515245 + 12345;
    b = static_cast<std::byte>('a' + (state >> 16) % 7);
  }
  return out;
}

Buffer deflated(const Buffer& plain, int window_bits, int flush = Z_FINISH) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY), Z_OK);
  Buffer out(plain.size() + 1000);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  (void)::deflate(&stream, flush);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

bool decodes(const Buffer& stored, const Buffer& plain) {
  Buffer unit(plain.size(), std::byte{0xaa});
  const auto done = deflate_codec().decode(stored, unit);
  EXPECT_TRUE(done || done.error().code() == Errc::corrupt);
  return done && unit == plain;
}

TEST(Inflate, ReadsEveryWindow) {
  const Buffer plain = text(64 * 1024);
  for (const int bits : {-9, -12, -15}) EXPECT_TRUE(decodes(deflated(plain, bits), plain)) << bits;
}

TEST(Inflate, ReadsAStreamWithForeignBytesBehindIt) {
  const Buffer plain = text(4096);
  Buffer stored = deflated(plain, -12);
  stored.resize(stored.size() + 511, std::byte{0xff});
  EXPECT_TRUE(decodes(stored, plain));
}

TEST(Inflate, ReadsAStreamThatGoesOnWhereTheUnitIsFull) {
  const Buffer more = text(3 * 4096);
  const Buffer plain(more.begin(), more.begin() + 4096);
  EXPECT_TRUE(decodes(deflated(more, -15), plain));
}

TEST(Inflate, RejectsAStreamThatEndsBeforeTheUnitIsFull) {
  Buffer plain = text(4096);
  const Buffer stored = deflated(plain, -15);
  plain.resize(4097);
  EXPECT_FALSE(decodes(stored, plain));
}

TEST(Inflate, RejectsAnUnterminatedStreamFollowedByForeignBytes) {
  const Buffer plain = text(4096);
  Buffer stored = deflated(plain, -15, Z_SYNC_FLUSH);
  stored.resize(stored.size() + 100, std::byte{0xff});
  EXPECT_FALSE(decodes(stored, plain));
}

TEST(Inflate, RejectsACutStream) {
  const Buffer plain = text(4096);
  Buffer stored = deflated(plain, -15);
  stored.resize(stored.size() / 2);
  EXPECT_FALSE(decodes(stored, plain));
}

TEST(Inflate, RejectsAZlibHeader) {
  const Buffer plain = text(4096);
  EXPECT_FALSE(decodes(deflated(plain, 15), plain));
}

TEST(Inflate, RejectsNothing) { EXPECT_FALSE(decodes({}, text(512))); }

}  // namespace
}  // namespace platter
