#include "lib/image/lzfse_codec.h"

#include <random>

#include "tests/lib/image/codec_samples.h"
#include "tests/support/bytes.h"
#include "tests/support/lzfse_encoder.h"

namespace platter {
namespace {

using test::Buffer;
using test::lzfse_encode;
using test::LzfseBlocks;
using test::text_like;
using BlockKind = LzfseBlocks::Kind;

constexpr BlockKind kBlockKinds[] = {BlockKind::stored, BlockKind::lzvn, BlockKind::v1,
                                     BlockKind::v2, BlockKind::mixed};

bool decodes_lzfse(const Buffer& stored, const Buffer& plain) {
  return test::decodes(lzfse_codec(), stored, plain);
}

Buffer stream_of(std::string_view text) {
  const Bytes bytes = test::bytes_of(text);
  return {bytes.begin(), bytes.end()};
}

// Text, runs, noise, and repetitions from near and far.
Buffer varied(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  Buffer out;
  while (out.size() < size) {
    const size_t n = 1 + random() % (random() % 4 == 0 ? 3000 : 60);
    switch (random() % 4) {
      case 0: out.insert(out.end(), n, static_cast<std::byte>(random())); break;
      case 1: append(out, test::noise(n, random())); break;
      case 2: append(out, text_like(n)); break;
      default:
        if (out.empty()) break;
        for (size_t from = random() % out.size(), i = 0; i < n; ++i) out.push_back(out[from + i]);
    }
  }
  out.resize(size);
  return out;
}

TEST(Lzfse, ReadsEveryKindOfBlock) {
  for (const BlockKind kind : kBlockKinds) {
    for (const size_t size : {1U, 5U, 512U, 16384U, 100000U}) {
      const Buffer plain = varied(size, size);
      EXPECT_TRUE(decodes_lzfse(lzfse_encode(plain, {.kind = kind}), plain))
          << static_cast<int>(kind) << " " << size;
    }
  }
}

TEST(Lzfse, ReadsWhatIsAllOneByteAndWhatNothingMakesSmaller) {
  for (const BlockKind kind : kBlockKinds) {
    for (const Buffer& plain : {Buffer(50000), test::noise(50000, 1), text_like(50000)}) {
      EXPECT_TRUE(decodes_lzfse(lzfse_encode(plain, {.kind = kind}), plain))
          << static_cast<int>(kind);
    }
  }
}

TEST(Lzfse, ReadsBlocksThatReferToEarlierOnes) {
  Buffer plain = test::noise(5000, 2);
  append(plain, Buffer(plain));
  for (const BlockKind kind : {BlockKind::lzvn, BlockKind::v1, BlockKind::v2, BlockKind::mixed}) {
    const Buffer stored = lzfse_encode(plain, {.kind = kind, .block = 5000});
    EXPECT_LT(stored.size(), plain.size() * 3 / 4) << static_cast<int>(kind);
    EXPECT_TRUE(decodes_lzfse(stored, plain)) << static_cast<int>(kind);
  }
}

TEST(Lzfse, LeavesForeignBytesBehindTheEndAlone) {
  const Buffer plain = varied(4096, 1);
  Buffer stored = lzfse_encode(plain);
  stored.resize(stored.size() + 100, std::byte{0xff});
  EXPECT_TRUE(decodes_lzfse(stored, plain));
}

TEST(Lzfse, RejectsAStreamWithoutItsEnd) {
  const Buffer plain = varied(4096, 1);
  for (const BlockKind kind : kBlockKinds) {
    EXPECT_FALSE(decodes_lzfse(lzfse_encode(plain, {.kind = kind, .end_mark = false}), plain));
  }
}

TEST(Lzfse, RejectsAStreamOfAnotherLengthThanTheUnit) {
  const Buffer plain = varied(4096, 1);
  for (const BlockKind kind : kBlockKinds) {
    const Buffer stored = lzfse_encode(plain, {.kind = kind});
    EXPECT_FALSE(decodes_lzfse(stored, Buffer(plain.begin(), plain.end() - 1)));
    Buffer longer = plain;
    longer.push_back({});
    EXPECT_FALSE(decodes_lzfse(stored, longer));
  }
}

TEST(Lzfse, RejectsACutStream) {
  const Buffer plain = varied(600, 3);
  for (const BlockKind kind : kBlockKinds) {
    Buffer stored = lzfse_encode(plain, {.kind = kind, .block = 200});
    for (size_t n = stored.size(); n-- > 0;) {
      stored.resize(n);
      stored.shrink_to_fit();
      EXPECT_FALSE(decodes_lzfse(stored, plain)) << static_cast<int>(kind) << " " << n;
    }
  }
}

TEST(Lzfse, RejectsUnknownBlocksAndNothing) {
  EXPECT_FALSE(decodes_lzfse({}, text_like(512)));
  EXPECT_FALSE(decodes_lzfse(stream_of("bvx3aaaaaaaaaaaaaaaaaaaa"), text_like(512)));
  EXPECT_FALSE(decodes_lzfse(stream_of("bvx$"), text_like(512)));
}

// Nothing may be read or written outside, whatever stands there; ASan sees to it.
TEST(Lzfse, KeepsWithinItsBuffersWhateverIsDamaged) {
  const Buffer plain = varied(3000, 4);
  std::mt19937_64 random(5);
  for (const BlockKind kind : kBlockKinds) {
    const Buffer good = lzfse_encode(plain, {.kind = kind, .block = 1500});
    for (int i = 0; i < 2000; ++i) {
      Buffer stored = good;
      // Headers more often than streams.
      const size_t reach = random() % 2 == 0 ? stored.size() : std::min<size_t>(stored.size(), 64);
      for (uint64_t n = 1 + random() % 3; n > 0; --n) {
        stored[random() % reach] = static_cast<std::byte>(random());
      }
      (void)decodes_lzfse(stored, plain);
    }
  }
}

class LzfseHeader : public ::testing::Test {
 protected:
  // A stream of one "bvx1" block with one of its fields set.
  bool decodes_with(size_t offset, uint32_t value, size_t size) {
    Buffer stored = lzfse_encode(plain_, {.kind = BlockKind::v1});
    for (size_t i = 0; i < size; ++i) stored[offset + i] = static_cast<std::byte>(value >> 8 * i);
    return decodes_lzfse(stored, plain_);
  }
  uint32_t field(size_t offset) {
    return load<le32>(lzfse_encode(plain_, {.kind = BlockKind::v1}), offset);
  }
  const Buffer plain_ = varied(1000, 7);
};

TEST_F(LzfseHeader, IsReadAsItIsWritten) { EXPECT_TRUE(decodes_with(8, 0, 4)); }

TEST_F(LzfseHeader, RejectsMoreLiteralsOrMatchesThanABlockMakes) {
  for (const size_t offset : {12U, 16U}) {
    for (const uint32_t count : {1004U, 10001U, 40001U, 0x7fffffffU, 0xffffffffU}) {
      EXPECT_FALSE(decodes_with(offset, count, 4)) << offset << " " << count;
    }
  }
}

TEST_F(LzfseHeader, RejectsFewerLiteralsThanTheMatchesNeed) {
  EXPECT_FALSE(decodes_with(12, 4, 4));
}

TEST_F(LzfseHeader, RejectsStreamsPastTheEnd) {
  for (const size_t offset : {20U, 24U}) {
    EXPECT_FALSE(decodes_with(offset, field(offset) + 5, 4)) << offset;
    EXPECT_FALSE(decodes_with(offset, 0xffffffff, 4)) << offset;
  }
}

TEST_F(LzfseHeader, RejectsBitsThatAreNoPartOfAByte) {
  for (const size_t offset : {28U, 40U}) {
    for (const uint32_t bits : {1U, 8U, static_cast<uint32_t>(-8), 0x80000000U}) {
      EXPECT_FALSE(decodes_with(offset, bits, 4)) << offset << " " << bits;
    }
  }
}

TEST_F(LzfseHeader, RejectsStatesOutsideTheTables) {
  for (const size_t offset : {32U, 34U, 36U, 38U}) EXPECT_FALSE(decodes_with(offset, 1024, 2));
  for (const size_t offset : {44U, 46U}) EXPECT_FALSE(decodes_with(offset, 64, 2));
  EXPECT_FALSE(decodes_with(48, 256, 2));
  EXPECT_FALSE(decodes_with(48, 65535, 2));
}

TEST_F(LzfseHeader, RejectsMoreFrequenciesThanStates) {
  for (const size_t symbol : {0U, 20U, 40U, 104U, 359U}) {
    EXPECT_FALSE(decodes_with(50 + 2 * symbol, 1025, 2)) << symbol;
    EXPECT_FALSE(decodes_with(50 + 2 * symbol, 65535, 2)) << symbol;
  }
}

// By hand, so that it does not stand on the encoder alone.
TEST(Lzvn, ReadsEveryInstruction) {
  using namespace std::literals;
  const auto block = [](std::string_view payload, std::string_view plain) {
    std::string stored = "bvxn";
    for (const size_t n : {plain.size(), payload.size()}) {
      for (int i = 0; i < 4; ++i) stored += static_cast<char>(n >> 8 * i);
    }
    stored += payload;
    return decodes_lzfse(stream_of(stored + "bvx$"), stream_of(plain));
  };
  const std::string end = "\x06\0\0\0\0\0\0\0"s;
  EXPECT_TRUE(block("\xe3xyz" + end, "xyz"));
  EXPECT_TRUE(block("\xe0\x04" + std::string(20, 'x') + end, std::string(20, 'x')));
  EXPECT_TRUE(block("\xe2xy\x08\x02"s + end, "xyxyxy"));              // 4 from 2
  EXPECT_TRUE(block("\xe2xy\x80\x01zw"s + end, "xyzwwww"));           // 2 literals, 3 from 1
  EXPECT_TRUE(block("\xe2xy\x47\x03\0z"s + end, "xyzxyz"));           // 1 literal, 3 from 3
  EXPECT_TRUE(block("\xe2xy\xaa\x09\0z"s + end, "xyzyzyzyzyzyzyz"));  // 1 literal, 12 from 2
  EXPECT_TRUE(block("\xe2xy\x08\x02\xc6pqr"s + end, "xyxyxypqrqrq"));
  EXPECT_TRUE(block("\xe1x\x00\x01\xf2"s + end, "xxxxxx"));
  EXPECT_TRUE(block("\xe1x\x00\x01\xf0\x01\x0e\x16"s + end, std::string(21, 'x')));
  EXPECT_FALSE(block("\xe3xyz", "xyz"));                   // no end
  EXPECT_FALSE(block("\xe3xyz\x06\0\0\0\0\0\0"s, "xyz"));  // half an end
  EXPECT_FALSE(block("\xe3xyz" + end, "xyzz"));
  EXPECT_FALSE(block("\xe1x\xf2"s + end, "xxx"));       // the distance before the first
  EXPECT_FALSE(block("\xe1x\x00\x02"s + end, "xxxx"));  // from before the start
  EXPECT_FALSE(block("\xe1x\x00\x00"s + end, "xxxx"));  // from nowhere
  for (const char op : {'\x1e', '\x26', '\x2e', '\x36', '\x3e', '\x70', '\x7f', '\xd0', '\xdf'}) {
    EXPECT_FALSE(block("\xe1x\x00\x01"s + op + "\x01\0zzz"s + end, "xxxxxxx"));
  }
}

TEST(LzfseV2, RejectsAHeaderOfAWrongLength) {
  const Buffer plain = varied(1000, 7);
  const Buffer good = lzfse_encode(plain);
  const uint32_t size = load<le32>(good, 24);
  for (const uint32_t wrong : {0U, 31U, 32U, size - 1, size + 1, 0xffffffffU}) {
    Buffer stored = good;
    store(MutableBytes(stored), 24, le32(wrong));
    EXPECT_FALSE(decodes_lzfse(stored, plain)) << wrong;
  }
}

}  // namespace
}  // namespace platter
