#include "lib/image/inflate.h"

#include <vector>

#include <gtest/gtest.h>
#include <libdeflate.h>
#include <zlib.h>

#include "tests/lib/image/codec_samples.h"

namespace platter {
namespace {

using test::Buffer;
using test::text_like;

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

bool inflates(const Buffer& stored, const Buffer& plain) {
  return test::decodes(deflate_codec(), stored, plain);
}

TEST(Inflate, ReadsEveryWindow) {
  const Buffer plain = text_like(64 * 1024);
  for (const int bits : {-9, -12, -15}) EXPECT_TRUE(inflates(deflated(plain, bits), plain)) << bits;
}

TEST(Inflate, ReadsAStreamWithForeignBytesBehindIt) {
  const Buffer plain = text_like(4096);
  Buffer stored = deflated(plain, -12);
  stored.resize(stored.size() + 511, std::byte{0xff});
  EXPECT_TRUE(inflates(stored, plain));
}

TEST(Inflate, ReadsAStreamThatGoesOnWhereTheUnitIsFull) {
  const Buffer more = text_like(3 * 4096);
  const Buffer plain(more.begin(), more.begin() + 4096);
  EXPECT_TRUE(inflates(deflated(more, -15), plain));
}

TEST(Inflate, RejectsAStreamThatEndsBeforeTheUnitIsFull) {
  Buffer plain = text_like(4096);
  const Buffer stored = deflated(plain, -15);
  plain.resize(4097);
  EXPECT_FALSE(inflates(stored, plain));
}

TEST(Inflate, RejectsAnUnterminatedStreamFollowedByForeignBytes) {
  const Buffer plain = text_like(4096);
  Buffer stored = deflated(plain, -15, Z_SYNC_FLUSH);
  stored.resize(stored.size() + 100, std::byte{0xff});
  EXPECT_FALSE(inflates(stored, plain));
}

TEST(Inflate, RejectsACutStream) {
  const Buffer plain = text_like(4096);
  Buffer stored = deflated(plain, -15);
  stored.resize(stored.size() / 2);
  EXPECT_FALSE(inflates(stored, plain));
}

TEST(Inflate, RejectsAZlibHeader) {
  const Buffer plain = text_like(4096);
  EXPECT_FALSE(inflates(deflated(plain, 15), plain));
}

TEST(Inflate, RejectsNothing) { EXPECT_FALSE(inflates({}, text_like(512))); }

bool zlib_decodes(const Buffer& stored, const Buffer& plain) {
  return test::decodes(zlib_codec(), stored, plain);
}

TEST(Zlib, ReadsAStreamOfEveryWindow) {
  const Buffer plain = text_like(64 * 1024);
  for (const int bits : {9, 12, 15}) EXPECT_TRUE(zlib_decodes(deflated(plain, bits), plain));
}

TEST(Zlib, ReadsAStreamWithForeignBytesBehindIt) {
  Buffer stored = deflated(text_like(4096), 15);
  stored.resize(stored.size() + 511, std::byte{0xff});
  EXPECT_TRUE(zlib_decodes(stored, text_like(4096)));
}

TEST(Zlib, RejectsAStreamOfAnotherLengthThanTheUnit) {
  const Buffer stored = deflated(text_like(4096), 15);
  EXPECT_FALSE(zlib_decodes(stored, text_like(4095)));
  EXPECT_FALSE(zlib_decodes(stored, text_like(4097)));
}

TEST(Zlib, RejectsACutStreamRawDeflateAndNothing) {
  const Buffer plain = text_like(4096);
  Buffer stored = deflated(plain, 15);
  for (size_t n = stored.size(); n-- > 0;) {
    stored.resize(n);
    EXPECT_FALSE(zlib_decodes(stored, plain)) << n;
  }
  EXPECT_FALSE(zlib_decodes(deflated(plain, -15), plain));
}

TEST(Zlib, RejectsAWrongChecksum) {
  Buffer stored = deflated(text_like(4096), 15);
  stored.back() ^= std::byte{1};
  EXPECT_FALSE(zlib_decodes(stored, text_like(4096)));
}

}  // namespace
}  // namespace platter
