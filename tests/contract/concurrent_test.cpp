// Eight threads on one disk: nobody's bytes are lost, readers see whole writes of the past or now.
#include <thread>

#include <gtest/gtest.h>

#include "lib/io/memory_file.h"
#include "tests/contract/history.h"
#include "tests/contract/rounds.h"
#include "tests/support/wrapped_file.h"

namespace platter::test {
namespace {

constexpr unsigned kThreads = 8;
constexpr uint64_t kStripe = 64;  // bytes; smaller than any block, so that threads share blocks

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
  const TestParent parent(GetParam());
  for (uint64_t seed = 0; seed < rounds(6); ++seed) {
    run(GetParam(), seed % 2 == 0 ? parent.image() : nullptr, seed);
  }
}

// The first writer of a block is held while it composes it; a second one writes elsewhere in it.
TEST_P(Concurrent, TwoFirstWritersOfABlockBothKeepTheirBytes) {
  const auto memory = std::make_shared<MemoryFile>("image");
  ASSERT_TRUE(GetParam().create(memory));
  Pause pause(Call::write);
  TestDisk disk(GetParam(), std::make_shared<WrappedFile>(memory, pause.hook()));
  ASSERT_TRUE(disk.write({GetParam().disk_size - 1, 1}, std::byte{9}));  // begin_writing is over
  pause.arm();
  std::thread first([&] { EXPECT_TRUE(disk.write({0, 100}, std::byte{1})); });
  pause.wait_stopped();
  std::thread second([&] { EXPECT_TRUE(disk.write({200, 100}, std::byte{2})); });
  pause.release();
  first.join();
  second.join();
  const auto all = disk.contents();
  EXPECT_EQ(all[0], std::byte{1});
  EXPECT_EQ(all[99], std::byte{1});
  EXPECT_EQ(all[200], std::byte{2});
}

// Flush A stops in its last sync; B publishes and flushes; A goes on. Nothing of B may be lost.
TEST_P(Concurrent, OverlappingFlushesLoseNothing) {
  const auto memory = std::make_shared<MemoryFile>("image");
  ASSERT_TRUE(GetParam().create(memory));
  Pause pause(Call::sync);
  const uint64_t last = GetParam().disk_size - 1;
  {
    TestDisk disk(GetParam(), std::make_shared<WrappedFile>(memory, pause.hook()));
    ASSERT_TRUE(disk.write({0, 1}, std::byte{1}));
    pause.arm();
    std::thread first([&] { EXPECT_TRUE(disk.writer().flush()); });
    pause.wait_stopped();
    ASSERT_TRUE(disk.write({last, 1}, std::byte{2}));
    std::thread second([&] { EXPECT_TRUE(disk.writer().flush()); });
    pause.release();
    first.join();
    second.join();
  }
  const auto all = contents_of(GetParam(), memory);
  EXPECT_EQ(all[0], std::byte{1});
  EXPECT_EQ(all[last], std::byte{2});
}

INSTANTIATE_TEST_SUITE_P(Formats, Concurrent, testing::ValuesIn(subjects()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter::test
