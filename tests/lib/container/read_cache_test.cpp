// A cache in front of a disk shows what the disk has, whatever becomes of its file.
#include "lib/container/read_cache.h"

#include <atomic>
#include <cerrno>
#include <random>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/writer.h"
#include "lib/image/registry.h"
#include "lib/io/memory_file.h"
#include "tests/support/bytes.h"
#include "tests/support/rounds.h"
#include "tests/support/same_bytes.h"
#include "tests/support/wrapped_file.h"

namespace platter {
namespace {

using test::Call;
using test::same;
using test::WrappedFile;
using testing::HasSubstr;

constexpr uint64_t kDisk = 3 * MiB + 700;

CachedDisk named(uint8_t name) { return {.digest = {std::byte{name}}, .size = kDisk}; }

// A raw disk in memory behind a cache, written through it.
class CachedDiskTest : public testing::Test {
 protected:
  CachedDiskTest() {
    EXPECT_TRUE(memory_->write(0, test::pattern(0, kDisk, 1)));
    const auto slow = std::make_shared<WrappedFile>(memory_, [this](Call call) {
      if (call == Call::read) ++reads_;
      return before_ ? before_(call) : Result<void>();
    });
    const auto denied = deny_resolver("alone");
    image_ = *find_format("raw")->open({.file = slow,
                                        .resolver = *denied,
                                        .tables = std::make_shared<PageCache>(0),
                                        .writable = true,
                                        .epochs = &epochs_});
  }

  // A new one, over what file has.
  void start(const FilePtr& file, std::optional<uint64_t> size = kMinCacheSize) {
    auto cache = ReadCache::open(file, size, named(1));
    ASSERT_TRUE(cache) << cache.error().message();
    use(*std::move(cache));
  }
  void use(std::unique_ptr<ReadCache> cache) {
    writer_.reset();
    layout_.reset();
    cache_ = std::move(cache);
    layout_.emplace(epochs_, std::make_shared<const View>(
                                 std::vector<View::Layer>{{image_.get(), 0}}, blocks_, *cache_, 0));
    writer_ = std::make_unique<Writer>(*layout_, *image_,
                                       WriterOptions{.flush_every_ms = 0, .cache = cache_.get()});
  }
  void start() { start(file_); }
  std::vector<std::byte> read(const Range& range) const {
    std::vector<std::byte> out(range.length);
    const Layout::Request request(*layout_);
    const Result<void> done = request.view().read(range.offset, out);
    EXPECT_TRUE(done) << done.error().message();
    return out;
  }
  std::vector<std::byte> of_disk(const Range& range) const {
    std::vector<std::byte> out(range.length);
    EXPECT_TRUE(memory_->read_exact(range.offset, out));
    return out;
  }
  bool is_right(const Range& range) const { return same(read(range), of_disk(range)); }

  std::function<Result<void>(Call)> before_;
  std::atomic<int> reads_{0};
  const std::shared_ptr<MemoryFile> memory_ = std::make_shared<MemoryFile>("disk");
  const std::shared_ptr<MemoryFile> file_ = std::make_shared<MemoryFile>("cache");
  Epochs epochs_;
  BlockCache blocks_{64 * KiB};
  ImagePtr image_;
  std::unique_ptr<ReadCache> cache_;
  std::optional<Layout> layout_;
  std::unique_ptr<Writer> writer_;
};

TEST_F(CachedDiskTest, ReadsNothingFromTheDiskTwice) {
  start();
  for (const Range& range : {Range{1000, 5000}, Range{kDisk - 1, 1}, Range{kDisk - 9000, 9000}}) {
    EXPECT_TRUE(is_right(range));
    reads_ = 0;
    EXPECT_TRUE(is_right(range));
    EXPECT_EQ(reads_, 0);
  }
  EXPECT_TRUE(is_right({0, 8192}));
  const ReadCache::Numbers n = cache_->numbers();
  EXPECT_EQ(n.hits + n.misses, 2 * (5000 + 1 + 9000) + 8192U);
  EXPECT_EQ(n.kept, 2 * kCachePiece + 4 * kCachePiece);
}

TEST_F(CachedDiskTest, KeepsItForTheNextTimeOnceItWasClosed) {
  start();
  EXPECT_TRUE(is_right({100'000, 300'000}));
  ASSERT_TRUE(cache_->close(named(1)));
  start();
  reads_ = 0;
  EXPECT_TRUE(is_right({100'000, 300'000}));
  EXPECT_EQ(reads_, 0);
  // As if the program had been killed.
  start();
  EXPECT_EQ(cache_->numbers().emptied, "it was not closed");
  EXPECT_TRUE(is_right({100'000, 300'000}));
  EXPECT_GT(reads_, 0);
}

TEST_F(CachedDiskTest, KeepsNothingOfAnotherDiskOrAnotherSize) {
  start();
  EXPECT_TRUE(is_right({0, 300'000}));
  ASSERT_TRUE(cache_->close(named(2)));
  start();
  EXPECT_EQ(cache_->numbers().emptied, "the disk is not what it was then");
  EXPECT_EQ(cache_->numbers().used, 0U);
  ASSERT_TRUE(cache_->close(named(1)));
  start(file_, 5 * MiB);
  EXPECT_EQ(cache_->numbers().emptied, "it had another size");
  EXPECT_GT(cache_->numbers().size, 3 * MiB);
  ASSERT_TRUE(cache_->close(named(1)));
  start(file_, std::nullopt);
  EXPECT_EQ(cache_->numbers().emptied, "");
  EXPECT_GT(cache_->numbers().size, 3 * MiB);
}

TEST_F(CachedDiskTest, LeavesAFileAloneThatIsNoCacheImage) {
  const auto other = std::make_shared<MemoryFile>("other", test::pattern(0, 9000, 5));
  const auto cache = ReadCache::open(other, kMinCacheSize, named(1));
  ASSERT_FALSE(cache);
  EXPECT_EQ(cache.error().code(), Errc::wrong_format);
  EXPECT_THAT(cache.error().message(), HasSubstr("other: is no cache image"));
  std::vector<std::byte> bytes(9000);
  ASSERT_TRUE(other->read_exact(0, bytes));
  EXPECT_TRUE(same(bytes, test::pattern(0, 9000, 5)));
}

TEST_F(CachedDiskTest, KeepsNoMoreThanItHasRoomFor) {
  start();
  for (uint64_t at = 0; at + 128 * KiB <= kDisk; at += 128 * KiB) {
    EXPECT_TRUE(is_right({at, 128 * KiB}));
    EXPECT_TRUE(is_right({0, 4096})) << "is used all the time";
  }
  const ReadCache::Numbers n = cache_->numbers();
  EXPECT_EQ(n.used, n.size);
  EXPECT_GT(n.evicted, MiB);
  EXPECT_LE(file_->stat()->size, kMinCacheSize);
  reads_ = 0;
  EXPECT_TRUE(is_right({0, 4096}));
  EXPECT_EQ(reads_, 0);
  ASSERT_TRUE(cache_->close(named(1)));
  start();
  EXPECT_EQ(cache_->numbers().emptied, "");
  EXPECT_TRUE(is_right({kDisk - MiB, MiB}));
}

TEST_F(CachedDiskTest, TakesNoReadThatWouldPushOutMostOfIt) {
  start();
  EXPECT_TRUE(is_right({0, 512 * KiB}));
  EXPECT_EQ(cache_->numbers().used, 0U);
}

TEST_F(CachedDiskTest, IsRightWhateverByteOfItsFileIsDamaged) {
  start();
  const Range range{1000, 100'000};
  EXPECT_TRUE(is_right(range));
  ASSERT_TRUE(cache_->close(named(1)));
  MemoryFile sound;
  sound.become(*file_);
  std::mt19937_64 random(1);
  const uint64_t size = sound.stat()->size;
  // Of header, map and root many, some of what lies behind.
  for (uint64_t at = 0; at < size; at += at < 6144 ? 23 : 1 + random() % 9000) {
    file_->become(sound);
    std::byte value{};
    ASSERT_TRUE(file_->read_exact(at, MutableBytes(&value, 1)));
    value ^= static_cast<std::byte>(1 + random() % 255);
    ASSERT_TRUE(file_->write(at, Bytes(&value, 1)));
    if (at < 77 && !ReadCache::open(file_, kMinCacheSize, named(1))) continue;  // nothing of ours
    file_->become(sound);
    ASSERT_TRUE(file_->write(at, Bytes(&value, 1)));
    start();
    EXPECT_TRUE(is_right(range)) << at;
    EXPECT_TRUE(is_right(range)) << at << ", the second time";
  }
}

TEST_F(CachedDiskTest, ReadsAPieceFromTheDiskThatIsDamagedWhileItIsInUse) {
  start();
  EXPECT_TRUE(is_right({0, 64 * KiB}));
  // All of the lines' bytes.
  const uint64_t size = file_->stat()->size;
  ASSERT_TRUE(file_->write(size - 64 * KiB, test::noise(64 * KiB, 1)));
  EXPECT_TRUE(is_right({0, 64 * KiB}));
  EXPECT_EQ(cache_->numbers().damaged, 4 * kCachePiece) << "each line goes with its first piece";
  reads_ = 0;
  EXPECT_TRUE(is_right({0, 64 * KiB}));
  EXPECT_EQ(reads_, 0);
}

TEST_F(CachedDiskTest, IsRightWhicheverCallOfItsFileFails) {
  for (uint64_t n = 1;; ++n) {
    const auto fresh = std::make_shared<MemoryFile>("cache");
    start(fresh);
    EXPECT_TRUE(is_right({0, 40'000}));
    ASSERT_TRUE(cache_->close(named(1)));
    test::FailAt fail(n, EIO);
    const auto failing = std::make_shared<WrappedFile>(fresh, fail.hook());
    auto opened = ReadCache::open(failing, kMinCacheSize, named(1));
    if (!opened) continue;
    use(*std::move(opened));
    EXPECT_TRUE(is_right({20'000, 60'000})) << n;
    ASSERT_TRUE(writer_->write(30'000, test::noise(9000, n)));
    EXPECT_TRUE(is_right({20'000, 60'000})) << n;
    EXPECT_TRUE(is_right({20'000, 60'000})) << n;
    (void)cache_->close(named(1));
    start(fresh);
    EXPECT_TRUE(is_right({0, 100'000})) << n;
    if (!fail.fired()) break;
  }
}

TEST_F(CachedDiskTest, FailsAReadThatTheDiskFails) {
  start();
  before_ = [](Call call) {
    return call == Call::read ? Result<void>(Error(Errc::io, "no", EIO)) : Result<void>();
  };
  std::byte value{};
  EXPECT_FALSE(layout_->live()->read(5, MutableBytes(&value, 1)));
  before_ = {};
  EXPECT_TRUE(is_right({0, 10'000}));
}

TEST_F(CachedDiskTest, ShowsWhatWasWrittenAndKeepsItIfItWasThere) {
  start();
  EXPECT_TRUE(is_right({0, 100'000}));
  ASSERT_TRUE(writer_->write(10'000, test::noise(30'000, 1)));
  reads_ = 0;
  EXPECT_TRUE(is_right({12'288, 24'576}));
  EXPECT_EQ(reads_, 0) << "whole pieces were written through";
  EXPECT_TRUE(is_right({0, 100'000}));
  ASSERT_TRUE(writer_->zero({20'000, 8'000}, File::Zero::keep_space));
  EXPECT_TRUE(is_right({0, 100'000}));
  ASSERT_TRUE(writer_->write(200'000, test::noise(30'000, 1)));
  const uint64_t used = cache_->numbers().used;
  EXPECT_LE(used, 7 * kCacheLine) << "what nobody reads is not kept";
}

TEST_F(CachedDiskTest, IsNotTrustedAfterAFlushThatFailed) {
  start();
  EXPECT_TRUE(is_right({0, 10'000}));
  ASSERT_TRUE(writer_->write(0, test::noise(5000, 1)));
  before_ = [](Call call) {
    return call == Call::sync ? Result<void>(Error(Errc::io, "no", EIO)) : Result<void>();
  };
  EXPECT_FALSE(writer_->flush());
  before_ = {};
  ASSERT_TRUE(cache_->close(named(1)));
  start();
  EXPECT_EQ(cache_->numbers().emptied, "it was not closed");
}

TEST_F(CachedDiskTest, IsTheDiskAfterManyReadsAndWritesOfAllKinds) {
  std::mt19937_64 random(7);
  start();
  for (uint64_t i = 0; i < test::rounds(800); ++i) {
    const uint64_t at = random() % kDisk;
    const uint64_t most = random() % 4 == 0 ? 200'000 : 6000;
    const Range range{at, std::min(kDisk - at, 1 + random() % most)};
    switch (random() % 8) {
      case 0: ASSERT_TRUE(writer_->write(at, test::noise(range.length, i))); break;
      case 1: ASSERT_TRUE(writer_->zero(range, File::Zero::free_space)); break;
      case 2:
        if (random() % 20 != 0) break;
        ASSERT_TRUE(writer_->flush());
        ASSERT_TRUE(cache_->close(named(1)));
        start();
        ASSERT_EQ(cache_->numbers().emptied, "");
        break;
      default: ASSERT_TRUE(is_right(range)) << i;
    }
  }
  const ReadCache::Numbers n = cache_->numbers();
  EXPECT_GT(n.hits, 0U);
  EXPECT_EQ(n.damaged, 0U);
}

// What is read when a write comes meanwhile is old and not kept.
TEST_F(CachedDiskTest, DoesNotKeepWhatAWriteOvertook) {
  start();
  test::Pause pause(Call::read);
  before_ = pause.hook();
  pause.arm();
  std::thread reader([this] { (void)read({0, 4096}); });
  ASSERT_TRUE(pause.wait_stopped());
  ASSERT_TRUE(writer_->write(0, test::noise(4096, 1)));
  pause.release();
  reader.join();
  EXPECT_TRUE(is_right({0, 4096}));
}

TEST_F(CachedDiskTest, ShowsEachWriterItsOwnBytesWhileOthersWriteBesideThem) {
  start();
  constexpr uint64_t kStripe = 700, kStripes = 600;
  constexpr unsigned kWriters = 4;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (unsigned who = 0; who < kWriters; ++who) {
    threads.emplace_back([&, who] {
      std::mt19937_64 random(who);
      for (uint64_t i = 0; i < test::rounds(200); ++i) {
        const uint64_t stripe = random() % (kStripes / kWriters) * kWriters + who;
        const Range range{stripe * kStripe, kStripe};
        const auto bytes = test::noise(kStripe, random());
        EXPECT_TRUE(writer_->write(range.offset, bytes));
        EXPECT_TRUE(same(read(range), bytes)) << stripe;
        EXPECT_TRUE(same(read(range), bytes)) << stripe << ", the second time";
      }
    });
  }
  std::thread reader([&] {
    std::mt19937_64 random(99);
    while (!stop) (void)read({random() % (kDisk - 200'000), 1 + random() % 200'000});
  });
  for (std::thread& thread : threads) thread.join();
  stop = true;
  reader.join();
  EXPECT_TRUE(is_right({0, kDisk}));
  EXPECT_EQ(cache_->numbers().damaged, 0U);
}

}  // namespace
}  // namespace platter
