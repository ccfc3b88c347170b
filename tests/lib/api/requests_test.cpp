// Requests are done once each, in any order but for flushes, and all of them in the end.
#include <platter/requests.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>

#include <gtest/gtest.h>

#include "lib/base/range.h"
#include "tests/support/bytes.h"
#include "tests/support/rounds.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::pattern;
using test::TempDir;

constexpr uint64_t kAskedDisk = 4 * MiB;

class RequestsTest : public testing::Test {
 protected:
  RequestsTest() {
    const Result<void> made = disk_.create_base({.path = dir_ / "d.qcow2",
                                                 .format = "qcow2",
                                                 .size = kAskedDisk,
                                                 .flags = {.discard = true}});
    EXPECT_TRUE(made) << made.error().message();
  }
  std::vector<std::byte> contents() const {
    std::vector<std::byte> out(kAskedDisk);
    EXPECT_TRUE(disk_.read(0, out));
    return out;
  }

  TempDir dir_;
  VirtualDisk disk_;
};

Requests::Done expect_done(std::atomic<int>& count) {
  return [&count](const Result<void>& done) {
    EXPECT_TRUE(done) << done.error().message();
    ++count;
  };
}

// Requests that wait until the gate is opened: whatever comes behind them waits, too.
class Gate {
 public:
  // As the Done of a request: keeps its thread.
  Requests::Done hold() {
    return [this](const Result<void>&) {
      std::unique_lock lock(mutex_);
      ++held_;
      changed_.notify_all();
      changed_.wait(lock, [this] { return open_; });
    };
  }
  void wait_until_held(int threads) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return held_ == threads; });
  }
  void open() {
    const std::scoped_lock lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int held_ = 0;
  bool open_ = false;
};

TEST_F(RequestsTest, ThousandsInFlightWriteWhatIsReadBack) {
  constexpr size_t kPiece = 1024;
  std::atomic<int> count = 0;
  const std::vector<std::byte> wanted = pattern(0, kAskedDisk, 1);
  {
    Requests requests(disk_);
    for (uint64_t at = 0; at < kAskedDisk; at += kPiece) {
      requests.write(at, std::span(wanted).subspan(at, kPiece), expect_done(count));
    }
    requests.flush(expect_done(count));
    requests.wait();
    EXPECT_EQ(count, kAskedDisk / kPiece + 1);
    std::vector<std::byte> seen(kAskedDisk);
    for (uint64_t at = 0; at < kAskedDisk; at += kPiece) {
      requests.read(at, std::span(seen).subspan(at, kPiece), expect_done(count));
    }
    requests.wait();
    EXPECT_TRUE(seen == wanted);
  }
  EXPECT_EQ(count, 2 * kAskedDisk / kPiece + 1);
}

// Of writes to one place some one is the last: every byte is of one of them.
TEST_F(RequestsTest, OverlappingRequestsAreDoneAsSomeOrderWould) {
  constexpr size_t kLength = 3000;
  for (int round = 0; round < static_cast<int>(test::rounds(20, 500)); ++round) {
    std::vector<std::vector<std::byte>> data;
    for (int i = 1; i <= 8; ++i) data.emplace_back(kLength, static_cast<std::byte>(i));
    std::atomic<int> count = 0;
    const uint64_t at = static_cast<uint64_t>(round) * 5000;
    Requests requests(disk_, 4);
    for (const auto& bytes : data) requests.write(at, bytes, expect_done(count));
    requests.wait();
    std::vector<std::byte> seen(kLength);
    ASSERT_TRUE(disk_.read(at, seen));
    for (const std::byte b : seen) {
      ASSERT_TRUE(b >= std::byte{1} && b <= std::byte{8});
    }
  }
}

TEST_F(RequestsTest, AFlushIsDoneAfterTheWritesBeforeIt) {
  Gate gate;
  Requests requests(disk_, 2);
  const std::vector<std::byte> data = pattern(0, 4096, 1);
  std::atomic<int> flushed = 0;
  requests.write(0, data, gate.hold());
  requests.flush(expect_done(flushed));
  gate.wait_until_held(1);
  // Behind the flush: nobody waits for it, and it waits for nobody.
  std::atomic<int> behind = 0;
  requests.write(8192, data, [&](const Result<void>& done) {
    EXPECT_TRUE(done);
    ++behind;
    behind.notify_all();
  });
  behind.wait(0);
  EXPECT_EQ(flushed, 0);
  gate.open();
  requests.wait();
  EXPECT_EQ(flushed, 1);
}

TEST_F(RequestsTest, FlushesWithoutWritesAreDoneAtOnce) {
  std::atomic<int> count = 0;
  Requests requests(disk_, 1);
  for (int i = 0; i < 5; ++i) requests.flush(expect_done(count));
  requests.wait();
  EXPECT_EQ(count, 5);
}

TEST_F(RequestsTest, ACancelledRequestNeverBegins) {
  Gate gate;
  Requests requests(disk_, 1);
  const std::vector<std::byte> data = pattern(0, 4096, 1);
  std::atomic<int> cancelled = 0, count = 0;
  const auto expect_cancelled = [&](const Result<void>& done) {
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), Errc::cancelled);
    ++cancelled;
  };
  const Requests::Id running = requests.write(0, data, gate.hold());
  gate.wait_until_held(1);
  const Requests::Id waiting = requests.write(MiB, data, expect_cancelled);
  const Requests::Id flush = requests.flush(expect_cancelled);
  const Requests::Id second = requests.flush(expect_done(count));
  EXPECT_FALSE(requests.cancel(running));
  EXPECT_TRUE(requests.cancel(waiting));
  EXPECT_FALSE(requests.cancel(waiting));
  EXPECT_TRUE(requests.cancel(flush));
  EXPECT_EQ(cancelled, 2);
  gate.open();
  requests.wait();
  EXPECT_EQ(count, 1);
  EXPECT_FALSE(requests.cancel(second));
  std::vector<std::byte> seen(4096);
  ASSERT_TRUE(disk_.read(MiB, seen));
  EXPECT_TRUE(seen == std::vector<std::byte>(4096));
}

TEST_F(RequestsTest, OneFailureIsToldOnceAndTheOthersGoOn) {
  Requests requests(disk_);
  const std::vector<std::byte> data = pattern(0, 4096, 1);
  std::atomic<int> failed = 0, count = 0;
  const auto expect_failed = [&](const Result<void>& done) {
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), Errc::out_of_range);
    ++failed;
  };
  requests.write(kAskedDisk - 1, data, expect_failed);
  requests.write(0, data, expect_done(count));
  requests.zero({.offset = kAskedDisk, .length = 1}, expect_failed);
  requests.discard({.offset = UINT64_MAX, .length = 2}, expect_failed);
  requests.flush(expect_done(count));
  requests.wait();
  EXPECT_EQ(failed, 3);
  EXPECT_EQ(count, 2);
}

TEST_F(RequestsTest, TheEndWaitsForAllThatWasAskedAndTakesNothingNew) {
  Gate gate;
  std::atomic<int> count = 0, refused = 0;
  const std::vector<std::byte> data = pattern(0, 4096, 1);
  auto requests = std::make_unique<Requests>(disk_, 2);
  requests->write(0, data, gate.hold());
  requests->write(4096, data, gate.hold());
  gate.wait_until_held(2);
  Requests* const still = requests.get();
  for (uint64_t i = 2; i < 100; ++i) {
    requests->write(i * 4096, data, [&, still](const Result<void>& done) {
      EXPECT_TRUE(done);
      ++count;
      still->write(0, data, [&](const Result<void>& more) {
        if (!more && more.error().code() == Errc::cancelled) ++refused;
      });
    });
  }
  std::thread end([&] { requests.reset(); });
  gate.open();
  end.join();
  EXPECT_EQ(count, 98);
  std::vector<std::byte> last(4096);
  ASSERT_TRUE(disk_.read(99 * 4096, last));
  EXPECT_TRUE(last == data);
}

// Many threads ask at once, and so do those that are told.
TEST_F(RequestsTest, ManyMayAskAtOnce) {
  std::atomic<int> count = 0;
  constexpr int kRounds = 200;
  Requests requests(disk_, 3);
  const std::vector<std::byte> data = pattern(0, 512, 1);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < kRounds; ++i) {
        const uint64_t at = random() % (kAskedDisk / 512) * 512;
        const auto id = requests.write(at, data, [&](const Result<void>&) {
          requests.zero({.offset = 0, .length = 4096}, [&](const Result<void>&) { ++count; });
        });
        if (i % 7 == 0) requests.cancel(id);
        if (i % 16 == 0) requests.flush([](const Result<void>& done) { EXPECT_TRUE(done); });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  requests.wait();
  EXPECT_EQ(count, 4 * kRounds);
}

}  // namespace
}  // namespace platter
