#include "lib/container/read_ahead.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/hand_made_image.h"
#include "tests/support/repeat_codec.h"

namespace platter {
namespace {

constexpr uint64_t kMost = 4 * MiB;

TEST(ReadAheadTest, GivesNothingAfterTheFirstRead) {
  ReadAhead ahead(kMost);
  EXPECT_TRUE(ahead.after({0, MiB}).empty());
  EXPECT_TRUE(ahead.after({100 * MiB, MiB}).empty());
}

TEST(ReadAheadTest, GivesEveryByteBehindASequentialReaderOnce) {
  ReadAhead ahead(kMost);
  uint64_t given = MiB;
  for (uint64_t at = 0; at < 100 * MiB; at += MiB) {
    const Range next = ahead.after({at, MiB});
    EXPECT_LE(next.end(), at + MiB + kMost);
    if (at == 0 || next.empty()) continue;
    EXPECT_EQ(next.offset, std::max(given, at + MiB));
    given = next.end();
  }
  EXPECT_GT(given, 100 * MiB);
}

TEST(ReadAheadTest, StaysAheadOfAReaderByWhatItMay) {
  ReadAhead ahead(kMost);
  uint64_t given = 0;
  for (uint64_t at = 0; at < 100 * MiB; at += 128 * KiB) {
    given = std::max(given, ahead.after({at, 128 * KiB}).end());
    if (at <= 20 * MiB) continue;
    EXPECT_GE(given, at + 128 * KiB + kMost / 2);
  }
}

TEST(ReadAheadTest, GivesLittleAtFirst) {
  ReadAhead ahead(kMost);
  (void)ahead.after({0, 4096});
  const Range next = ahead.after({4096, 4096});
  EXPECT_FALSE(next.empty());
  EXPECT_LE(next.length, 256 * KiB);
}

TEST(ReadAheadTest, PutsUpWithRequestsThatOvertakeOneAnother) {
  ReadAhead ahead(kMost);
  uint64_t given = 0;
  for (uint64_t at = 0; at < 20 * MiB; at += 256 * KiB) {
    given = std::max(given, ahead.after({at + 128 * KiB, 128 * KiB}).end());
    given = std::max(given, ahead.after({at, 128 * KiB}).end());
  }
  EXPECT_GT(given, 20 * MiB);
}

TEST(ReadAheadTest, FollowsSeveralReadersAtOnce) {
  ReadAhead ahead(kMost);
  for (uint64_t at = 0; at < 10 * MiB; at += MiB) {
    for (uint64_t reader = 0; reader < 8; ++reader) {
      const Range next = ahead.after({reader * 100 * MiB + at, MiB});
      if (at != 2 * MiB) continue;
      EXPECT_FALSE(next.empty()) << reader;
    }
  }
}

TEST(ReadAheadTest, GivesNothingToWhoReadsHereAndThere) {
  ReadAhead ahead(kMost);
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_TRUE(ahead.after({i * 7919 % 1000 * 10 * MiB, 4096}).empty());
  }
}

TEST(ReadAheadTest, GivesNothingWithoutMemoryForIt) {
  ReadAhead ahead(0);
  for (uint64_t at = 0; at < 10 * MiB; at += MiB) EXPECT_TRUE(ahead.after({at, MiB}).empty());
}

TEST(ReadAheadTest, ServesSeveralThreads) {
  ReadAhead ahead(kMost);
  std::atomic<uint64_t> next{0}, given{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (uint64_t at; (at = next.fetch_add(64 * KiB)) < 100 * MiB;) {
        const Range mine = ahead.after({at, 64 * KiB});
        EXPECT_LE(mine.length, kMost);
        given += mine.length;
      }
    });
  }
  threads.clear();
  EXPECT_GT(given, 0U);
}

// 100 compressed units of 1000 bytes, some of them broken, between them what is not compressed.
class DecodeAhead : public testing::Test {
 protected:
  static constexpr uint64_t kUnits = 100, kUnit = 1000;
  DecodeAhead() : image_("disk", 2 * kUnits * kUnit) {
    for (uint64_t i = 0; i < kUnits; ++i) {
      const std::byte first{static_cast<unsigned char>(i % 10 == 9 ? 0xff : i)};
      EXPECT_TRUE(image_.file().write(i, Bytes(&first, 1)));
      const Range guest{2 * i * kUnit, kUnit};
      image_.add({.guest = guest,
                  .kind = Extent::Kind::encoded,
                  .host = i,
                  .codec = &codec_,
                  .stored = 1,
                  .unit = guest});
    }
  }
  test::RepeatCodec codec_;
  test::HandMadeImage image_;
  BlockCache blocks_{MiB};
  const View view_{{{&image_, 0}}, blocks_};
};

TEST_F(DecodeAhead, LeavesNothingToDecodeForItsReader) {
  decode_ahead(view_, {0, 20 * kUnit});
  EXPECT_EQ(codec_.decoded, 10);
  std::vector<std::byte> out(18 * kUnit);
  ASSERT_TRUE(view_.read(0, out));
  EXPECT_EQ(codec_.decoded, 10);
  EXPECT_EQ(out[16 * kUnit], std::byte{8});
}

TEST_F(DecodeAhead, LeavesErrorsToItsReader) {
  decode_ahead(view_, {0, 2 * kUnits * kUnit});
  std::vector<std::byte> out(kUnit);
  ASSERT_TRUE(view_.read(16 * kUnit, out));
  EXPECT_FALSE(view_.read(18 * kUnit, out));
  EXPECT_TRUE(view_.read(20 * kUnit, out));
}

TEST_F(DecodeAhead, EndsWithTheDisk) {
  decode_ahead(view_, {(2 * kUnits - 2) * kUnit, 100 * MiB});
  EXPECT_EQ(codec_.decoded, 1);
  decode_ahead(view_, {2 * kUnits * kUnit, MiB});
  decode_ahead(view_, {kMaxOffset - 1, 1});
  EXPECT_EQ(codec_.decoded, 1);
}

TEST_F(DecodeAhead, WithoutARangeDoesNothing) {
  decode_ahead(view_, {100, 0});
  EXPECT_EQ(codec_.decoded, 0);
}

}  // namespace
}  // namespace platter
