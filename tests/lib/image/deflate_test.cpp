#include "lib/image/deflate.h"

#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <zlib.h>

#include "lib/image/inflate.h"
#include "lib/image/zstd_codec.h"
#include "tests/support/bytes.h"

namespace platter {
namespace {

using Buffer = std::vector<std::byte>;

// Repeats itself near and 20000 bytes away, and has some noise.
Buffer text(size_t size) {
  Buffer out(size);
  std::mt19937 random(7);
  for (size_t i = 0; i < size; ++i) {
    if (i >= 20000 && i / 500 % 3 != 0) {
      out[i] = out[i - 20000];
    } else {
      out[i] = static_cast<std::byte>(i % 90 < 60 ? 'a' + i % 7 : random() % 256);
    }
  }
  return out;
}

struct Case {
  std::string name;
  const Encoder& encoder;
  const Codec& codec;
  bool strict = false;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class EachEncoder : public testing::TestWithParam<Case> {
 protected:
  static Buffer encoded(const Buffer& plain, size_t room) {
    Buffer stored(room);
    const auto length = GetParam().encoder.encode(plain, stored);
    EXPECT_TRUE(length) << length.error().message();
    stored.resize(length ? *length : 0);
    return stored;
  }
  static void expect_round_trip(const Buffer& plain) {
    const Buffer stored = encoded(plain, plain.size() - 1);
    ASSERT_FALSE(stored.empty()) << plain.size();
    Buffer back(plain.size(), std::byte{0xaa});
    const auto done = GetParam().codec.decode(stored, back);
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_TRUE(back == plain) << plain.size();
  }
};

TEST_P(EachEncoder, MakesWhatItsCodecReads) {
  for (const size_t size : {512U, 4096U, 65536U, 300000U, 2U << 20}) {
    expect_round_trip(text(size));
    expect_round_trip(Buffer(size, std::byte{0x51}));
    expect_round_trip(Buffer(size));
  }
}

TEST_P(EachEncoder, MakesLessOfWhatRepeatsItself) {
  const Buffer plain = text(65536);
  EXPECT_LT(encoded(plain, plain.size()).size(), plain.size() * 3 / 4);
}

TEST_P(EachEncoder, SaysWhenThereIsNoRoom) {
  const Buffer noise = test::noise(65536, 3);
  EXPECT_TRUE(encoded(noise, 65535).empty());
  EXPECT_TRUE(encoded(noise, 65536 - 2048).empty());
  const Buffer plain = text(65536);
  const size_t needed = encoded(plain, plain.size()).size();
  for (const size_t room : {size_t{0}, size_t{1}, size_t{8}, size_t{100}, needed / 2}) {
    EXPECT_TRUE(encoded(plain, room).empty()) << room;
  }
}

TEST_P(EachEncoder, WritesNothingBehindItsRoom) {
  const Buffer noise = test::noise(4096, 3), plain = text(4096);
  for (const size_t room : {16U, 1000U, 3000U, 4000U}) {
    for (const Buffer* unit : {&noise, &plain}) {
      Buffer stored(room + 64, std::byte{0xee});
      ASSERT_TRUE(GetParam().encoder.encode(*unit, MutableBytes(stored).first(room)));
      for (size_t i = room; i < stored.size(); ++i) ASSERT_EQ(stored[i], std::byte{0xee}) << room;
    }
  }
}

TEST_P(EachEncoder, GoesOnAfterAUnitThatDidNotFit) {
  const Buffer noise = test::noise(65536, 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(encoded(noise, 60000).empty());
    expect_round_trip(text(65536));
  }
}

TEST_P(EachEncoder, MakesTheSameInEveryThread) {
  const Buffer plain = text(65536);
  const Buffer wanted = encoded(plain, plain.size());
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) EXPECT_TRUE(encoded(plain, plain.size()) == wanted);
    });
  }
}

// A reader that keeps 4 KiB and gets a stream piece by piece.
bool inflates_in_4k(const Buffer& stored, const Buffer& plain) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, -12), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(stored.data()));
  stream.avail_in = static_cast<uInt>(stored.size());
  Buffer out(plain.size());
  int status = Z_OK;
  for (size_t at = 0; at < out.size() && status == Z_OK;) {
    const size_t piece = std::min<size_t>(1000, out.size() - at);
    Buffer part(piece);  // the bytes before are gone
    stream.next_out = reinterpret_cast<Bytef*>(part.data());
    stream.avail_out = static_cast<uInt>(piece);
    status = inflate(&stream, Z_NO_FLUSH);
    std::copy(part.begin(), part.end(), out.begin() + static_cast<ptrdiff_t>(at));
    at += piece;
  }
  inflateEnd(&stream);
  return (status == Z_OK || status == Z_STREAM_END) && out == plain;
}

TEST_P(EachEncoder, KeepsToA4kWindowWhereItPromisesThat) {
  if (&GetParam().codec != &deflate_codec()) GTEST_SKIP() << "zstd has its own windows";
  const Buffer plain = text(65536);
  EXPECT_EQ(inflates_in_4k(encoded(plain, plain.size()), plain), GetParam().strict);
}

INSTANTIATE_TEST_SUITE_P(
    All, EachEncoder,
    testing::Values(Case{"deflate", deflate_encoder(Effort::usual), deflate_codec()},
                    Case{"deflate_fast", deflate_encoder(Effort::fast), deflate_codec()},
                    Case{"deflate_4k", deflate_4k_encoder(Effort::usual), deflate_codec(), true},
                    Case{"deflate_4k_fast", deflate_4k_encoder(Effort::fast), deflate_codec(),
                         true},
                    Case{"zstd", zstd_encoder(Effort::usual), zstd_codec()},
                    Case{"zstd_fast", zstd_encoder(Effort::fast), zstd_codec()}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter
