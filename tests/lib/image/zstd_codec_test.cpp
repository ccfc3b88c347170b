#include "lib/image/zstd_codec.h"

#include <vector>

#include <gtest/gtest.h>
#include <zstd.h>

#include "tests/lib/image/codec_samples.h"

namespace platter {
namespace {

using test::Buffer;
using test::text_like;

Buffer frame(const Buffer& plain, bool checksum = false) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum ? 1 : 0);
  Buffer out(ZSTD_compressBound(plain.size()));
  out.resize(ZSTD_compress2(context, out.data(), out.size(), plain.data(), plain.size()));
  ZSTD_freeCCtx(context);
  return out;
}

Buffer join(Buffer a, const Buffer& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

bool decodes(const Buffer& stored, const Buffer& plain) {
  return test::decodes(zstd_codec(), stored, plain);
}

TEST(Zstd, ReadsAFrame) {
  for (const size_t size : {512U, 65536U, 2097152U}) {
    const Buffer plain = text_like(size);
    EXPECT_TRUE(decodes(frame(plain), plain)) << size;
    EXPECT_TRUE(decodes(frame(plain, true), plain)) << size;
  }
}

TEST(Zstd, ReadsTwoFrames) {
  const Buffer first = text_like(1000), second = text_like(3096);
  EXPECT_TRUE(decodes(join(frame(first), frame(second)), join(first, second)));
}

TEST(Zstd, ReadsAFrameWithForeignBytesBehindIt) {
  const Buffer plain = text_like(4096);
  EXPECT_TRUE(decodes(join(frame(plain), Buffer(511, std::byte{0xff})), plain));
  EXPECT_TRUE(decodes(join(frame(plain), frame(plain)), plain));
}

TEST(Zstd, RejectsAFrameOfMoreThanTheUnit) {
  Buffer plain = text_like(4097);
  const Buffer stored = frame(plain);
  plain.pop_back();
  EXPECT_FALSE(decodes(stored, plain));
}

TEST(Zstd, RejectsAFrameOfLessThanTheUnit) {
  Buffer plain = text_like(4096);
  const Buffer stored = frame(plain);
  plain.push_back(std::byte{0});
  EXPECT_FALSE(decodes(stored, plain));
  EXPECT_FALSE(decodes(join(stored, Buffer(100)), plain));
}

TEST(Zstd, RejectsACutFrame) {
  const Buffer plain = text_like(4096);
  Buffer stored = frame(plain);
  stored.pop_back();
  EXPECT_FALSE(decodes(stored, plain));
}

TEST(Zstd, RejectsAWrongChecksum) {
  const Buffer plain = text_like(4096);
  Buffer stored = frame(plain, true);
  stored.back() ^= std::byte{1};
  EXPECT_FALSE(decodes(stored, plain));
}

TEST(Zstd, RejectsNothing) { EXPECT_FALSE(decodes({}, text_like(512))); }

TEST(Zstd, IsReadyAgainAfterADamagedFrame) {
  const Buffer plain = text_like(4096);
  EXPECT_FALSE(decodes(Buffer(100, std::byte{0x28}), plain));
  EXPECT_TRUE(decodes(frame(plain), plain));
}

}  // namespace
}  // namespace platter
