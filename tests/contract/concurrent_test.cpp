// Eight threads on one disk: nobody's bytes are lost, readers see whole writes of the past or now.
#include <future>
#include <thread>

#include <gtest/gtest.h>

#include "lib/io/memory_file.h"
#include "tests/contract/history.h"
#include "tests/support/rounds.h"
#include "tests/support/same_bytes.h"
#include "tests/support/toy_image.h"
#include "tests/support/wrapped_file.h"

namespace platter::test {
namespace {

using namespace std::chrono_literals;

// What is wrong happens in this time; what is right passes however long it takes.
constexpr auto kAWhile = 100ms;

class Concurrent : public testing::TestWithParam<Subject> {};

// Writes to every eighth stripe, in random order, what the model of those stripes says.
void work(TestDisk& disk, std::vector<std::byte>& model, unsigned thread, uint64_t seed) {
  std::mt19937_64 random(seed * kThreads + thread);
  const uint64_t stripes = model.size() / kStripe / kThreads;
  for (unsigned step = 1; step < 200; ++step) {
    const uint64_t stripe = (random() % stripes) * kThreads + thread;
    const Range range{stripe * kStripe, kStripe};
    const auto value = static_cast<std::byte>(random() % 4 == 0 ? 0 : 1 + random() % 255);
    const unsigned what = random() % 16;
    Result<void> done;
    if (what == 0) {
      done = disk.writer().flush();
    } else {
      std::fill_n(model.begin() + static_cast<long>(range.offset), kStripe,
                  what == 1 ? std::byte{0} : value);
      done = what == 1 ? disk.writer().discard(range) : disk.write(range, value);
    }
    if (!done) ADD_FAILURE() << done.error().message();
    std::vector<std::byte> seen(kStripe);
    ASSERT_TRUE(disk.view().read(range.offset, seen));
    ASSERT_TRUE(
        std::equal(seen.begin(), seen.end(), model.begin() + static_cast<long>(range.offset)));
  }
}

void run(const Subject& subject, const Image* parent, uint64_t seed) {
  const auto file = std::make_shared<MemoryFile>("image");
  ASSERT_TRUE(subject.create(file));
  std::vector<std::byte> model;
  {
    TestDisk disk(subject, file, parent, {.flush_every_ms = 1});
    model = disk.contents();
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] { work(disk, model, i, seed); });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(disk.contents(), model);
    ASSERT_TRUE(disk.writer().close());
  }
  EXPECT_EQ(contents_of(subject, file, parent), model);
  EXPECT_EQ(subject.fault(file), std::nullopt);
}

TEST_P(Concurrent, EightThreadsLoseNothing) {
  const TestParent parent(GetParam().disk_size);
  for (uint64_t seed = 0; seed < rounds(6); ++seed) {
    run(GetParam(), parent.below(GetParam(), seed), seed);
  }
}

// The first writer of a block is held while it composes it; a second one writes elsewhere in it.
TEST_P(Concurrent, TwoFirstWritersOfABlockBothKeepTheirBytes) {
  const auto memory = std::make_shared<MemoryFile>("image");
  ASSERT_TRUE(GetParam().create(memory));
  Pause pause(Call::write);
  const TestParent parent(GetParam().disk_size);
  TestDisk disk(GetParam(), std::make_shared<WrappedFile>(memory, pause.hook()),
                parent.below(GetParam()));
  ASSERT_TRUE(disk.write({GetParam().disk_size - 1, 1}, std::byte{9}));  // begin_writing is over
  pause.arm();
  std::thread first([&] { EXPECT_TRUE(disk.write({0, 100}, std::byte{1})); });
  EXPECT_TRUE(pause.wait_stopped());
  std::thread second([&] { EXPECT_TRUE(disk.write({200, 100}, std::byte{2})); });
  pause.release();
  first.join();
  second.join();
  const auto all = disk.contents();
  EXPECT_EQ(all[0], std::byte{1});
  EXPECT_EQ(all[99], std::byte{1});
  EXPECT_EQ(all[200], std::byte{2});
}

using Flush = std::function<Result<void>(TestDisk&)>;
const Flush kOfTheWriter = [](TestDisk& disk) { return disk.writer().flush(); };
const Flush kOfTheImage = [](TestDisk& disk) { return disk.image().flush(true); };

// Flush A stops in its first sync; B writes and flushes, and gets as far as it will while A stands
// still; A goes on. True: nothing of B was lost.
bool overlapping_flushes_lose_nothing(const Subject& subject, const Flush& flush) {
  const auto memory = std::make_shared<MemoryFile>("image");
  EXPECT_TRUE(subject.create(memory));
  Pause pause(Call::sync);
  const TestParent parent(subject.disk_size);
  const Image* below = parent.below(subject);
  std::vector<std::byte> wanted;
  {
    TestDisk disk(subject, std::make_shared<WrappedFile>(memory, pause.hook()), below);
    EXPECT_TRUE(disk.write({0, 1}, std::byte{1}));
    pause.arm();
    auto first = std::async(std::launch::async, [&] { return bool(flush(disk)); });
    EXPECT_TRUE(pause.wait_stopped());
    EXPECT_TRUE(disk.write({subject.disk_size - 1, 1}, std::byte{2}));
    wanted = disk.contents();
    auto second = std::async(std::launch::async, [&] { return bool(flush(disk)); });
    second.wait_for(kAWhile);
    pause.release();
    EXPECT_TRUE(first.get());
    EXPECT_TRUE(second.get());
  }
  return same(contents_of(subject, memory, below), wanted);
}

TEST_P(Concurrent, OverlappingFlushesLoseNothing) {
  EXPECT_TRUE(overlapping_flushes_lose_nothing(GetParam(), kOfTheWriter));
  EXPECT_TRUE(overlapping_flushes_lose_nothing(GetParam(), kOfTheImage));
}

TEST(ConcurrentToy, LosesBytesWithoutTheFlushMutex) {
  Subject toy = subjects().front();
  ASSERT_EQ(toy.name, "toy");
  EXPECT_TRUE(overlapping_flushes_lose_nothing(toy, kOfTheImage));
  toy.open = [](const FilePtr& file, Epochs& epochs, bool) -> Result<ImagePtr> {
    return ImagePtr(TRY(ToyImage::open(file, epochs, ToyImage::Flush::overlapping)));
  };
  EXPECT_FALSE(overlapping_flushes_lose_nothing(toy, kOfTheImage));
}

// Flush A stops in its first sync: B, with nothing of its own to flush, may not say yet that all is
// durable.
TEST_P(Concurrent, AFlushWaitsForTheOneUnderWay) {
  const auto memory = std::make_shared<MemoryFile>("image");
  ASSERT_TRUE(GetParam().create(memory));
  Pause pause(Call::sync);
  const TestParent parent(GetParam().disk_size);
  TestDisk disk(GetParam(), std::make_shared<WrappedFile>(memory, pause.hook()),
                parent.below(GetParam()));
  ASSERT_TRUE(disk.write({0, 1}, std::byte{1}));
  pause.arm();
  auto first = std::async(std::launch::async, [&] { return bool(disk.writer().flush()); });
  EXPECT_TRUE(pause.wait_stopped());
  auto second = std::async(std::launch::async, [&] { return bool(disk.writer().flush()); });
  EXPECT_EQ(second.wait_for(kAWhile), std::future_status::timeout);
  pause.release();
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
}

INSTANTIATE_TEST_SUITE_P(Formats, Concurrent, testing::ValuesIn(subjects()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter::test
