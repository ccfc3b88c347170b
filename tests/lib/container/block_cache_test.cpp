#include "lib/container/block_cache.h"

#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

#include "lib/io/memory_file.h"
#include "tests/support/bytes.h"
#include "tests/support/repeat_codec.h"

namespace platter {
namespace {

class BlockCacheTest : public ::testing::Test {
 protected:
  BlockCacheTest() {
    std::vector<std::byte> stored(256);
    for (size_t i = 0; i < stored.size(); ++i) stored[i] = static_cast<std::byte>(i);
    (void)file_.write(0, stored);
  }
  // The unit whose bytes are all `host`.
  Extent unit(uint64_t host, uint64_t length = 1000) {
    const Range guest{host * length, length};
    return {.guest = guest,
            .kind = Extent::Kind::encoded,
            .file = &file_,
            .host = host,
            .codec = &codec_,
            .stored = 1,
            .unit = guest};
  }
  MemoryFile file_;
  test::RepeatCodec codec_;
};

TEST_F(BlockCacheTest, DecodesAUnitOnce) {
  BlockCache cache(100000);
  for (int i = 0; i < 5; ++i) {
    const auto block = cache.get(unit(7));
    ASSERT_TRUE(block);
    EXPECT_EQ(**block, BlockCache::Block(1000, std::byte{7}));
  }
  EXPECT_EQ(codec_.decoded, 1);
}

TEST_F(BlockCacheTest, KeepsTheLatestUsedWithinItsCapacity) {
  BlockCache cache(3000);
  for (const uint64_t host : std::initializer_list<uint64_t>{1, 2, 3, 1, 4})
    ASSERT_TRUE(cache.get(unit(host)));
  EXPECT_EQ(codec_.decoded, 4);
  ASSERT_TRUE(cache.get(unit(1)));
  ASSERT_TRUE(cache.get(unit(3)));
  EXPECT_EQ(codec_.decoded, 4);
  ASSERT_TRUE(cache.get(unit(2)));  // was the oldest
  EXPECT_EQ(codec_.decoded, 5);
}

TEST_F(BlockCacheTest, DoesNotKeepWhatIsEvicted) {
  BlockCache cache(3000);
  std::vector<std::weak_ptr<const BlockCache::Block>> seen;
  for (uint64_t host = 0; host < 100; ++host) seen.push_back(*cache.get(unit(host)));
  size_t kept = 0;
  for (const auto& block : seen) kept += block.expired() ? 0U : 1U;
  EXPECT_EQ(kept, 3U);
}

TEST_F(BlockCacheTest, ServesAUnitLargerThanItself) {
  BlockCache cache(10);
  for (int i = 0; i < 3; ++i) EXPECT_EQ((**cache.get(unit(5)))[999], std::byte{5});
  EXPECT_EQ(codec_.decoded, 1);
  EXPECT_EQ((**cache.get(unit(6)))[0], std::byte{6});
  EXPECT_EQ((**cache.get(unit(5)))[0], std::byte{5});
  EXPECT_EQ(codec_.decoded, 3);
}

TEST_F(BlockCacheTest, AFailureIsToldAndNotKept) {
  BlockCache cache(100000);
  for (int i = 1; i <= 2; ++i) {
    const auto block = cache.get(unit(255));
    ASSERT_FALSE(block);
    EXPECT_EQ(block.error().message(), "compressed block: broken");
    EXPECT_EQ(codec_.decoded, i);
  }
  const std::byte good{9};
  ASSERT_TRUE(file_.write(255, Bytes(&good, 1)));
  EXPECT_EQ((**cache.get(unit(255)))[0], good);
}

TEST_F(BlockCacheTest, AHostileTableCannotPassAShortUnitForALongOne) {
  BlockCache cache(100000);
  EXPECT_EQ((*cache.get(unit(5, 10)))->size(), 10U);
  EXPECT_EQ((*cache.get(unit(5, 1000)))->size(), 1000U);
  Extent more = unit(5, 1000);
  more.stored = 2;
  ASSERT_TRUE(cache.get(more));
  EXPECT_EQ(codec_.decoded, 3);
}

TEST_F(BlockCacheTest, TellsFilesApart) {
  BlockCache cache(100000);
  MemoryFile other("other", test::bytes_of("x"));
  Extent e = unit(0);
  e.file = &other;
  EXPECT_EQ((**cache.get(unit(0)))[0], std::byte{0});
  EXPECT_EQ((**cache.get(e))[0], std::byte{'x'});
}

TEST_F(BlockCacheTest, StoredBytesPastTheFileAreZero) {
  BlockCache cache(100000);
  const auto block = cache.get(unit(1000));
  ASSERT_TRUE(block);
  EXPECT_EQ((**block)[0], std::byte{0});
}

// Waits until as many threads as there are want the unit, or long enough that all should.
class SlowCodec final : public Codec {
 public:
  Result<void> decode(Bytes /*stored*/, MutableBytes /*unit*/) const override {
    ++decoded;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (broken) return Error(Errc::corrupt, "broken");
    return {};
  }
  mutable std::atomic<int> decoded = 0;
  std::atomic<bool> broken = false;
};

TEST_F(BlockCacheTest, OfEightThreadsThatWantOneUnitOneDecodesIt) {
  BlockCache cache(10);  // even when it would be the first to go
  SlowCodec slow;
  Extent e = unit(1);
  e.codec = &slow;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] { EXPECT_TRUE(cache.get(e)); });
    }
  }
  EXPECT_EQ(slow.decoded, 1);
}

TEST_F(BlockCacheTest, EveryThreadThatWaitsForABrokenUnitHearsOfIt) {
  BlockCache cache(100000);
  SlowCodec slow;
  slow.broken = true;
  Extent e = unit(1);
  e.codec = &slow;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] { EXPECT_FALSE(cache.get(e)); });
  }
}

// As a decoder that finds no memory.
class ThrowingCodec final : public Codec {
 public:
  Result<void> decode(Bytes /*stored*/, MutableBytes /*unit*/) const override {
    if (throws.exchange(false)) throw std::bad_alloc();
    return {};
  }
  mutable std::atomic<bool> throws = true;
};

TEST_F(BlockCacheTest, ADecoderThatThrowsLeavesNobodyWaiting) {
  BlockCache cache(100000);
  const ThrowingCodec codec;
  Extent e = unit(1);
  e.codec = &codec;
  EXPECT_THROW((void)cache.get(e), std::bad_alloc);
  EXPECT_TRUE(cache.get(e));
}

TEST_F(BlockCacheTest, GivesSeveralUnitsInTheOrderAskedFor) {
  BlockCache cache(3000);  // fewer than are asked for
  std::vector<Extent> extents;
  for (uint64_t i = 0; i < 100; ++i) extents.push_back(unit(i * 7 % 100));
  const auto units = cache.get_all(extents);
  ASSERT_TRUE(units);
  ASSERT_EQ(units->size(), extents.size());
  for (size_t i = 0; i < extents.size(); ++i) {
    EXPECT_EQ((*(*units)[i])[0], static_cast<std::byte>(i * 7 % 100));
  }
  EXPECT_EQ(codec_.decoded, 100);
}

TEST_F(BlockCacheTest, OfSeveralUnitsTellsTheFirstThatIsBroken) {
  BlockCache cache(100000);
  SlowCodec slow;
  slow.broken = true;
  std::vector<Extent> extents = {unit(1), unit(2), unit(255), unit(3)};
  extents[1].codec = &slow;
  const auto units = cache.get_all(extents);
  ASSERT_FALSE(units);
  EXPECT_EQ(units.error().message(), "broken");
}

TEST_F(BlockCacheTest, AHostileTableThatNamesOneUnitManyTimesHasItDecodedOnce) {
  BlockCache cache(100000);
  ASSERT_TRUE(cache.get_all(std::vector<Extent>(500, unit(1))));
  EXPECT_EQ(codec_.decoded, 1);
}

TEST_F(BlockCacheTest, WithoutMemoryForOneOfSeveralUnitsSaysSo) {
  BlockCache cache(100000);
  const ThrowingCodec codec;
  std::vector<Extent> extents = {unit(1), unit(2)};
  extents[1].codec = &codec;
  const auto units = cache.get_all(extents);
  ASSERT_FALSE(units);
  EXPECT_EQ(units.error().sys_errno(), ENOMEM);
}

TEST_F(BlockCacheTest, DecodesAWholeUnitWhereItIsWantedAndDoesNotKeepIt) {
  BlockCache cache(100000);
  std::vector<std::byte> out(1000);
  for (int i = 1; i <= 2; ++i) {
    ASSERT_TRUE(cache.read(unit(7), out));
    EXPECT_EQ(out, std::vector<std::byte>(1000, std::byte{7}));
    EXPECT_EQ(codec_.decoded, i);
  }
}

TEST_F(BlockCacheTest, ReadsPartsOfUnitsThatItKeeps) {
  BlockCache cache(100000);
  Extent part = unit(7);
  part.guest = {part.unit.offset + 10, 20};
  std::vector<std::byte> out(20), whole(1000);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(cache.read(part, out));
  ASSERT_TRUE(cache.read(unit(7), whole));
  EXPECT_EQ(out, std::vector<std::byte>(20, std::byte{7}));
  EXPECT_EQ(whole, std::vector<std::byte>(1000, std::byte{7}));
  EXPECT_EQ(codec_.decoded, 1);
}

TEST_F(BlockCacheTest, TellsOfABrokenUnitWhereItIsWanted) {
  BlockCache cache(100000);
  std::vector<std::byte> out(1000);
  EXPECT_FALSE(cache.read(unit(255), out));
  Extent part = unit(255);
  part.guest.length = 10;
  EXPECT_FALSE(cache.read(part, MutableBytes(out).first(10)));
}

TEST_F(BlockCacheTest, PreparesUnitsOnceAndLeavesErrorsToWhoAsks) {
  BlockCache cache(100000);
  std::vector<Extent> extents;
  for (uint64_t i = 0; i < 50; ++i) extents.push_back(unit(i));
  extents.push_back(unit(255));
  cache.prepare(extents);
  EXPECT_EQ(codec_.decoded, 51);
  cache.prepare(std::span(extents).first(50));
  EXPECT_EQ(codec_.decoded, 51);
  EXPECT_EQ((**cache.get(unit(20)))[0], std::byte{20});
  EXPECT_FALSE(cache.get(unit(255)));
  EXPECT_EQ(codec_.decoded, 52);
}

TEST_F(BlockCacheTest, PreparesWhatItCanWithoutMemoryForAll) {
  BlockCache cache(100000);
  const ThrowingCodec codec;
  std::vector<Extent> extents = {unit(1), unit(2)};
  extents[0].codec = &codec;
  cache.prepare(extents);
  EXPECT_EQ(codec_.decoded, 1);
}

TEST_F(BlockCacheTest, EightThreadsSeeTheRightBytesWhileUnitsComeAndGo) {
  BlockCache cache(5000);
  std::vector<std::jthread> threads;
  for (uint64_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 200; ++i) {
        const uint64_t host = (t * 31 + i * 17) % 20;
        const auto block = cache.get(unit(host));
        ASSERT_TRUE(block);
        EXPECT_EQ((**block)[i], static_cast<std::byte>(host));
      }
    });
  }
}

}  // namespace
}  // namespace platter
