#include "lib/image/page_cache.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "lib/io/memory_file.h"
#include "tests/support/bytes.h"

namespace platter {
namespace {

// A file in which each byte is known without being kept; counts its reads.
class PatternFile final : public File {
 public:
  explicit PatternFile(uint64_t size, uint64_t seed = 1) : size_(size), seed_(seed) {}
  const std::string& name() const override { return name_; }
  Result<FileStat> stat() const override { return FileStat{.size = size_}; }
  Result<void> write(uint64_t /*offset*/, Bytes /*data*/) override { return {}; }
  Result<void> resize(uint64_t /*size*/) override { return {}; }
  Result<void> sync() override { return {}; }
  int reads() const { return reads_; }
  void fail(bool on) { failing_ = on; }

 private:
  Result<size_t> read_some(uint64_t offset, MutableBytes out) const override {
    ++reads_;
    if (failing_) return Error(Errc::io, "pattern: cannot read", 5);
    if (offset >= size_) return size_t{0};
    const size_t n = std::min<uint64_t>(out.size(), size_ - offset);
    for (size_t i = 0; i < n; ++i) out[i] = test::pattern_at(offset + i, seed_);
    return n;
  }
  std::string name_ = "pattern";
  uint64_t size_;
  uint64_t seed_;
  std::atomic<bool> failing_ = false;
  mutable std::atomic<int> reads_ = 0;
};

TEST(PageCache, ReadsAPageOnce) {
  const PatternFile file(1 * MiB);
  PageCache cache(1 * MiB);
  for (int i = 0; i < 10; ++i) {
    const auto page = cache.page(file, 8192 + static_cast<uint64_t>(i));
    ASSERT_TRUE(page);
    EXPECT_EQ((*page)->valid, 4096U);
    EXPECT_EQ((*page)->bytes[0], test::pattern_at(8192, 1));
  }
  EXPECT_EQ(file.reads(), 1);
}

TEST(PageCache, ForgetsAllPagesOfOneFile) {
  const PatternFile file(1 * MiB), other(1 * MiB);
  PageCache cache(2 * MiB);
  for (uint64_t at = 0; at < 100 * 4096; at += 4096) {
    ASSERT_TRUE(cache.page(file, at));
    ASSERT_TRUE(cache.page(other, at));
  }
  cache.forget(file);
  for (uint64_t at = 0; at < 100 * 4096; at += 4096) {
    ASSERT_TRUE(cache.page(file, at));
    ASSERT_TRUE(cache.page(other, at));
  }
  EXPECT_EQ(file.reads(), 200);
  EXPECT_EQ(other.reads(), 100);
}

TEST(PageCache, ReadsAcrossPages) {
  const PatternFile file(1 * MiB);
  PageCache cache(1 * MiB);
  std::vector<std::byte> out(10000);
  ASSERT_TRUE(cache.read_bytes(file, 4000, out));
  EXPECT_EQ(out, test::pattern(4000, 10000, 1));
  const auto number = cache.read<be64>(file, 4092);
  ASSERT_TRUE(number);
  EXPECT_EQ(*number, load<be64>(test::pattern(4092, 8, 1)));
}

TEST(PageCache, TheLastPageEndsWithTheFile) {
  const PatternFile file(5000);
  PageCache cache(1 * MiB);
  EXPECT_EQ((*cache.page(file, 4096))->valid, 904U);
  EXPECT_EQ((*cache.page(file, 4999))->view().size(), 904U);
  EXPECT_EQ((*cache.page(file, 100000))->valid, 0U);
}

TEST(PageCache, ReadingPastTheEndIsTruncation) {
  const PatternFile file(5000);
  PageCache cache(1 * MiB);
  for (const uint64_t offset : {uint64_t{4993}, uint64_t{5000}, uint64_t{8192}, kMaxOffset - 3,
                                UINT64_MAX - 8, UINT64_MAX - 7}) {
    const auto number = cache.read<be64>(file, offset);
    ASSERT_FALSE(number) << offset;
    EXPECT_EQ(number.error().code(), Errc::corrupt) << offset;
  }
  EXPECT_TRUE(cache.read<be64>(file, 4992));
}

TEST(PageCache, TellsFilesApart) {
  const PatternFile a(8192, 1);
  const PatternFile b(8192, 2);
  PageCache cache(1 * MiB);
  EXPECT_EQ((*cache.page(a, 0))->bytes[5], test::pattern_at(5, 1));
  EXPECT_EQ((*cache.page(b, 0))->bytes[5], test::pattern_at(5, 2));
  EXPECT_EQ((*cache.page(a, 0))->bytes[6], test::pattern_at(6, 1));
}

TEST(PageCache, IsBoundedAndForgetsTheOldest) {
  const PatternFile file(64 * MiB);
  PageCache cache(256 * KiB);
  std::vector<std::weak_ptr<const PageCache::Page>> seen;
  for (uint64_t at = 0; at < 16 * MiB; at += 4096) seen.push_back(*cache.page(file, at));
  size_t kept = 0;
  for (const auto& page : seen) kept += page.expired() ? 0U : 1U;
  EXPECT_LE(kept, 64U);
  EXPECT_GE(kept, 32U);
  EXPECT_FALSE(seen.back().expired());
  EXPECT_TRUE(seen.front().expired());
}

TEST(PageCache, SpreadsNeighboursOverItsWholeCapacity) {
  const PatternFile file(64 * MiB);
  PageCache cache(4 * MiB);
  for (int round = 0; round < 2; ++round) {
    for (uint64_t at = 0; at < 3 * MiB; at += 4096) (void)cache.page(file, at);
  }
  // 768 pages, nearly all of them still there in the second round.
  EXPECT_LT(file.reads(), 768 + 100);
}

TEST(PageCache, WithoutCapacityStillServes) {
  const PatternFile file(1 * MiB);
  PageCache cache(0);
  std::vector<std::byte> out(100000);
  ASSERT_TRUE(cache.read_bytes(file, 0, out));
  EXPECT_EQ(out, test::pattern(0, 100000, 1));
}

TEST(PageCache, APageOutlivesItsPlaceInTheCache) {
  const PatternFile file(64 * MiB);
  PageCache cache(0);
  const auto page = *cache.page(file, 0);
  for (uint64_t at = 0; at < 1 * MiB; at += 4096) (void)cache.page(file, at);
  EXPECT_EQ(page->bytes[9], test::pattern_at(9, 1));
}

TEST(PageCache, AFailedReadIsTriedAgain) {
  PatternFile file(1 * MiB);
  PageCache cache(1 * MiB);
  file.fail(true);
  const auto page = cache.page(file, 0);
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().sys_errno(), 5);
  file.fail(false);
  EXPECT_TRUE(cache.page(file, 0));
}

TEST(PageCache, EightThreadsSeeTheRightBytesWhilePagesComeAndGo) {
  const PatternFile file(1 * MiB);
  PageCache cache(128 * KiB);
  std::vector<std::jthread> threads;
  for (uint64_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      uint64_t at = t * 12345;
      for (int i = 0; i < 300; ++i) {
        at = (at * 6364136223846793005 + 1442695040888963407) % (1 * MiB - 64);
        std::vector<std::byte> out(64);
        EXPECT_TRUE(cache.read_bytes(file, at, out));
        EXPECT_EQ(out, test::pattern(at, 64, 1));
      }
    });
  }
}

}  // namespace
}  // namespace platter
