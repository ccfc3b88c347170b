#include "lib/image/zstd_codec.h"

#include <vector>

#include <gtest/gtest.h>
#include <zstd.h>

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
  Buffer unit(plain.size(), std::byte{0xaa});
  const auto done = zstd_codec().decode(stored, unit);
  EXPECT_TRUE(done || done.error().code() == Errc::corrupt);
  return done && unit == plain;
}

TEST(Zstd, ReadsAFrame) {
  for (const size_t size : {512U, 65536U, 2097152U}) {
    const Buffer plain = text(size);
    EXPECT_TRUE(decodes(frame(plain), plain)) << size;
    EXPECT_TRUE(decodes(frame(plain, true), plain)) << size;
  }
}

TEST(Zstd, ReadsTwoFrames) {
  const Buffer first = text(1000), second = text(3096);
  EXPECT_TRUE(decodes(join(frame(first), frame(second)), join(first, second)));
}

TEST(Zstd, ReadsAFrameWithForeignBytesBehindIt) {
  const Buffer plain = text(4096);
  EXPECT_TRUE(decodes(join(frame(plain), Buffer(511, std::byte{0xff})), plain));
  EXPECT_TRUE(decodes(join(frame(plain), frame(plain)), plain));
}

TEST(Zstd, RejectsAFrameOfMoreThanTheUnit) {
  Buffer plain = text(4097);
  const Buffer stored = frame(plain);
  plain.pop_back();
  EXPECT_FALSE(decodes(stored, plain));
}

TEST(Zstd, RejectsAFrameOfLessThanTheUnit) {
  Buffer plain = text(4096);
  const Buffer stored = frame(plain);
  plain.push_back(std::byte{0});
  EXPECT_FALSE(decodes(stored, plain));
  EXPECT_FALSE(decodes(join(stored, Buffer(100)), plain));
}

TEST(Zstd, RejectsACutFrame) {
  const Buffer plain = text(4096);
  Buffer stored = frame(plain);
  stored.pop_back();
  EXPECT_FALSE(decodes(stored, plain));
}

TEST(Zstd, RejectsAWrongChecksum) {
  const Buffer plain = text(4096);
  Buffer stored = frame(plain, true);
  stored.back() ^= std::byte{1};
  EXPECT_FALSE(decodes(stored, plain));
}

TEST(Zstd, RejectsNothing) { EXPECT_FALSE(decodes({}, text(512))); }

TEST(Zstd, IsReadyAgainAfterADamagedFrame) {
  const Buffer plain = text(4096);
  EXPECT_FALSE(decodes(Buffer(100, std::byte{0x28}), plain));
  EXPECT_TRUE(decodes(frame(plain), plain));
}

}  // namespace
}  // namespace platter
