// A disk grows while it is used: requests go on, what it had stays, what is new is zeroes and can
// be written, and a power cut or a failure on the way leaves the old size or the new one.
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "lib/io/memory_file.h"
#include "tests/contract/history.h"
#include "tests/support/crash_file.h"
#include "tests/support/rounds.h"
#include "tests/support/same_bytes.h"
#include "tests/support/wrapped_file.h"

namespace platter::test {
namespace {

class Grow : public testing::TestWithParam<Subject> {};

std::vector<Subject> resizable() {
  std::vector<Subject> found = subjects();
  std::erase_if(found, [](const Subject& s) { return !s.can_resize; });
  return found;
}

std::vector<std::byte> grown(Bytes disk, uint64_t size) {
  std::vector<std::byte> larger(disk.begin(), disk.end());
  larger.resize(size);
  return larger;
}

std::vector<std::byte> read_all(const TestDisk& disk) {
  const Layout::Request request(disk.layout());
  std::vector<std::byte> bytes(request.view().size());
  const Result<void> done = request.view().read(0, bytes);
  EXPECT_TRUE(done) << done.error().message();
  return bytes;
}

void write_history(TestDisk& disk, ModelDisk& model, std::mt19937_64& random, unsigned steps) {
  for (unsigned step = 1; step <= steps; ++step) {
    const Operation op = draw(random, model.size(), step);
    ASSERT_TRUE(apply(disk.writer(), op));
    apply(model, op);
  }
}

TEST_P(Grow, TheDiskIsUsedOnAsIfItHadAlwaysBeenThatLarge) {
  for (uint64_t seed = 0; seed < 6; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<MemoryFile>("image");
    ASSERT_TRUE(GetParam().create(file));
    std::vector<std::byte> wanted(GetParam().disk_size);
    {
      TestDisk disk(GetParam(), file);
      for (const uint64_t size : larger_sizes(GetParam().disk_size)) {
        ModelDisk model(wanted);
        write_history(disk, model, random, 30);
        ASSERT_TRUE(disk.writer().grow(size));
        EXPECT_EQ(disk.layout().size(), size);
        wanted = grown(model.now(), size);
        ASSERT_TRUE(read_all(disk) == wanted);
      }
      ModelDisk model(wanted);
      write_history(disk, model, random, 30);
      ASSERT_TRUE(disk.writer().close());
      wanted = grown(model.now(), wanted.size());
    }
    EXPECT_TRUE(contents_of(GetParam(), file) == wanted);
    EXPECT_EQ(GetParam().fault(file), std::nullopt);
  }
}

TEST_P(Grow, ASizeItHasOrHadChangesNothing) {
  const auto file = std::make_shared<MemoryFile>("image");
  ASSERT_TRUE(GetParam().create(file));
  TestDisk disk(GetParam(), file);
  const uint64_t larger = GetParam().disk_size + 100 * KiB;
  ASSERT_TRUE(disk.writer().grow(larger));
  for (const uint64_t size : {larger, 8 * KiB, uint64_t{0}}) {
    EXPECT_TRUE(disk.writer().grow(size));
    EXPECT_EQ(disk.layout().size(), larger);
  }
}

// Writes to its own stripes of the disk as large as it is at the moment, and reads them back.
void work(TestDisk& disk, unsigned thread, const std::atomic<bool>& over,
          std::vector<std::byte>& model) {
  std::mt19937_64 random(thread);
  for (unsigned step = 1; !over || step < 50; ++step) {
    const uint64_t stripes = disk.layout().size() / kStripe / kThreads;
    const uint64_t index = random() % stripes;
    const Range range{(index * kThreads + thread) * kStripe, kStripe};
    if (model.size() <= index) model.resize(index + 1);
    std::byte seen[kStripe];
    {
      const Layout::Request request(disk.layout());
      ASSERT_TRUE(request.view().read(range.offset, seen));
    }
    ASSERT_TRUE(std::all_of(seen, seen + kStripe, [&](std::byte b) { return b == model[index]; }))
        << "at " << range.offset;
    const auto value = static_cast<std::byte>(random() % 4 == 0 ? 0 : step);
    const unsigned what = random() % 32;
    if (what == 0) {
      ASSERT_TRUE(disk.writer().flush());
    } else {
      ASSERT_TRUE(what == 1 ? disk.writer().discard(range) : disk.write(range, value));
      model[index] = what == 1 ? std::byte{0} : value;
    }
  }
}

TEST_P(Grow, WhileThreadsReadWriteAndFlush) {
  const auto file = std::make_shared<MemoryFile>("image");
  ASSERT_TRUE(GetParam().create(file));
  std::vector<std::vector<std::byte>> models(kThreads);
  {
    TestDisk disk(GetParam(), file, nullptr, {.flush_every_ms = 1});
    std::atomic<bool> over{false};
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] { work(disk, i, over, models[i]); });
    }
    // Half of the steps come from another thread, and none of them is lost.
    const auto grow = [&](uint64_t first) {
      for (uint64_t i = first; i < 60; i += 2) {
        ASSERT_TRUE(disk.writer().grow(GetParam().disk_size + i * i * 512));
      }
    };
    std::thread other([&] { grow(0); });
    grow(1);
    other.join();
    EXPECT_EQ(disk.layout().size(), GetParam().disk_size + 59 * 59 * 512);
    over = true;
    threads.clear();
    ASSERT_TRUE(disk.writer().close());
  }
  const std::vector<std::byte> all = contents_of(GetParam(), file);
  ASSERT_EQ(all.size(), GetParam().disk_size + 59 * 59 * 512);
  for (uint64_t at = 0; at < all.size(); ++at) {
    const uint64_t stripe = at / kStripe;
    const std::vector<std::byte>& model = models[stripe % kThreads];
    const uint64_t index = stripe / kThreads;
    ASSERT_EQ(all[at], index < model.size() ? model[index] : std::byte{0}) << at;
  }
  EXPECT_EQ(GetParam().fault(file), std::nullopt);
}

// A request is held in the middle of its read: the disk grows behind it.
TEST_P(Grow, WaitsForTheRequestsUnderWay) {
  const auto file = std::make_shared<MemoryFile>("image");
  ASSERT_TRUE(GetParam().create(file));
  TestDisk disk(GetParam(), file);
  auto request = std::make_unique<Layout::Request>(disk.layout());
  std::thread grower([&] { EXPECT_TRUE(disk.writer().grow(3 * MiB)); });
  for (int i = 0; i < 100; ++i) std::this_thread::yield();
  EXPECT_EQ(request->view().size(), GetParam().disk_size);
  EXPECT_EQ(disk.layout().size(), GetParam().disk_size);
  request.reset();
  grower.join();
  EXPECT_EQ(disk.layout().size(), 3 * MiB);
}

// One history with a growth in it; power is lost before every call it makes of the file.
void search_one(const Subject& subject, uint64_t seed, uint64_t& states) {
  std::mt19937_64 random(seed), draws(seed);
  const auto file = std::make_shared<CrashFile>();
  ASSERT_TRUE(subject.create(file));
  std::optional<ModelDisk> model(std::vector<std::byte>(subject.disk_size));
  uint64_t size = subject.disk_size;  // that it may have, besides the model's
  const auto look = [&](Call call) -> Result<void> {
    if (!model || call == Call::read) return {};
    ++states;
    const auto after = file->crash(random);
    std::vector<std::byte> disk = contents_of(subject, after);
    EXPECT_TRUE(disk.size() == model->size() || disk.size() == size) << disk.size();
    EXPECT_EQ(subject.fault(after), std::nullopt);
    for (uint64_t at = model->size(); at < disk.size(); ++at) EXPECT_EQ(disk[at], std::byte{0});
    disk.resize(model->size());
    EXPECT_EQ(model->impossible(disk), std::nullopt);
    return {};
  };
  TestDisk disk(subject, std::make_shared<WrappedFile>(file, look));
  for (const uint64_t larger : larger_sizes(subject.disk_size)) {
    for (unsigned step = 1; step <= 12; ++step) {
      const Operation op = draw(draws, model->size(), step);
      if (op.kind != Operation::Kind::flush) apply(*model, op);
      ASSERT_TRUE(apply(disk.writer(), op));
      if (op.kind == Operation::Kind::flush) apply(*model, op);
    }
    size = larger;
    ASSERT_TRUE(disk.writer().grow(larger));
    const std::vector<std::byte> now = grown(model->now(), larger);
    EXPECT_TRUE(same(contents_of(subject, file->crash(random)), now));
    model.emplace(now);
    if (testing::Test::HasFailure()) return;
  }
}

TEST_P(Grow, LeavesTheOldDiskOrTheNewOneWhenPowerIsLost) {
  uint64_t states = 0;
  for (uint64_t seed = 0; states < rounds(500) && !HasFailure(); ++seed) {
    search_one(GetParam(), seed, states);
  }
}

// The n-th call of a growth fails. False: nothing failed.
bool grow_until_failure(const Subject& subject, uint64_t n, uint64_t size, int sys_errno) {
  std::mt19937_64 random(n);
  const auto memory = std::make_shared<MemoryFile>("image");
  EXPECT_TRUE(subject.create(memory));
  FailAt fail(n, sys_errno);
  fail.pause(true);
  TestDisk disk(subject, std::make_shared<WrappedFile>(memory, fail.hook()));
  ModelDisk model(std::vector<std::byte>(subject.disk_size));
  write_history(disk, model, random, 20);
  fail.pause(false);
  const Result<void> done = disk.writer().grow(size);
  const bool failed = fail.fired();
  // Some need not succeed: that space was not given back to the host is no error.
  EXPECT_TRUE(done || failed) << done.error().message();
  fail.disarm();
  const uint64_t now = disk.layout().size();
  EXPECT_TRUE(now == subject.disk_size || now == size) << now;
  std::vector<std::byte> wanted = grown(model.now(), now);
  EXPECT_TRUE(read_all(disk) == wanted) << "call " << n;
  // Writing goes on, or says that it does not; it breaks nothing.
  for (const uint64_t at : {uint64_t{0}, subject.disk_size / 2, now - 1}) {
    if (!disk.write({at, 1}, std::byte{0xaa})) continue;
    wanted[at] = std::byte{0xaa};
    EXPECT_TRUE(read_all(disk) == wanted) << "call " << n;
  }
  if (disk.writer().close()) {
    const std::vector<std::byte> later = contents_of(subject, memory);
    EXPECT_TRUE(later.size() == now || later.size() == size) << later.size();
    EXPECT_TRUE(later == grown(wanted, later.size())) << "call " << n;
  }
  EXPECT_EQ(subject.fault(memory), std::nullopt) << "call " << n;
  return failed;
}

TEST_P(Grow, AFailingCallHurtsNothingThatWasThere) {
  for (const int sys_errno : {EIO, ENOSPC}) {
    for (const uint64_t size : larger_sizes(GetParam().disk_size)) {
      uint64_t n = 1;
      while (grow_until_failure(GetParam(), n, size, sys_errno) && !HasFailure()) ++n;
      EXPECT_GT(n, 2U);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Grow, testing::ValuesIn(resizable()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter::test
