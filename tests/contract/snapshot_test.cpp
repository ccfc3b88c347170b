// Snapshots made, deleted, renamed and gone back to, while the disk is written to or not: what each
// of them shows never changes, and nothing is left over.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "lib/io/memory_file.h"
#include "tests/contract/history.h"
#include "tests/support/rounds.h"

namespace platter::test {
namespace {

using What = SnapshotRequest::What;

constexpr size_t kMostSnapshots = 20;

struct Kept {
  SnapshotId id = 0;  // in this session
  std::string name;
  std::vector<std::byte> contents;
};

std::vector<std::byte> read_snapshot(TestDisk& disk, const Image* parent, SnapshotId id) {
  BlockCache blocks(64 * KiB);
  std::vector<View::Layer> layers{{&disk.image(), id}};
  if (parent != nullptr) layers.push_back({parent, 0});
  const View view(layers, blocks);
  std::vector<std::byte> contents(view.size());
  const Layout::Request reading(disk.layout());
  const Result<void> read = view.read(0, contents);
  EXPECT_TRUE(read) << read.error().message();
  return contents;
}

class History {
 public:
  History(const Subject& subject, uint64_t seed)
      : subject_(subject),
        random_(seed),
        parent_(subject.disk_size),
        below_(parent_.below(subject, seed)),
        file_(std::make_shared<MemoryFile>("image")) {}

  void run() {
    ASSERT_TRUE(subject_.create(file_));
    model_.emplace(contents_of(subject_, file_, below_));
    ASSERT_NO_FATAL_FAILURE(take_what_is_there());
    for (unsigned session = 0; session < 3; ++session) {
      ASSERT_NO_FATAL_FAILURE(use());
      ASSERT_NO_FATAL_FAILURE(expect_all());
    }
  }

 private:
  // A subject may have been used before.
  void take_what_is_there() {
    TestDisk disk(subject_, file_, below_);
    for (const SnapshotInfo& snapshot : disk.image().snapshots()) {
      kept_.push_back({snapshot.id, snapshot.name, read_snapshot(disk, below_, snapshot.id)});
    }
    ASSERT_TRUE(disk.writer().close());
  }

  void use() {
    TestDisk disk(subject_, file_, below_);
    for (size_t i = 0; i < kept_.size(); ++i) kept_[i].id = disk.image().snapshots().at(i).id;
    for (unsigned step = 0; step < 60; ++step) {
      if (random_() % 4 == 0) {
        ASSERT_NO_FATAL_FAILURE(change(disk));
      } else {
        const Operation op = draw(random_, model_->size(), 1 + step % 255);
        apply(*model_, op);
        ASSERT_TRUE(apply(disk.writer(), op));
      }
      if (kept_.empty()) continue;
      const Kept& one = kept_[random_() % kept_.size()];
      ASSERT_EQ(read_snapshot(disk, below_, one.id), one.contents) << step << ", " << one.name;
    }
    ASSERT_EQ(disk.contents(), now());
    ASSERT_TRUE(disk.writer().close());
  }

  void change(TestDisk& disk) {
    const uint64_t what = random_() % 8;
    const std::string name = fmt::format("state {}", named_++);
    if (kept_.empty() || (what < 4 && kept_.size() < kMostSnapshots)) {
      ASSERT_TRUE(disk.writer().change_snapshots({.what = What::create, .name = name}));
      kept_.push_back({disk.image().snapshots().back().id, name, now()});
      return;
    }
    const auto one = kept_.begin() + static_cast<long>(random_() % kept_.size());
    SnapshotRequest request{.what = What::remove, .id = one->id, .name = {}};
    if (what == 4) request.what = What::apply;
    if (what == 5) request = {.what = What::rename, .id = one->id, .name = name};
    const Result<void> done = disk.writer().change_snapshots(request);
    ASSERT_TRUE(done) << done.error().message();
    if (request.what == What::apply) model_.emplace(one->contents);
    if (request.what == What::rename) one->name = name;
    if (request.what == What::remove) kept_.erase(one);
    ASSERT_EQ(disk.contents(), now()) << static_cast<int>(request.what);
  }

  void expect_all() {
    Epochs epochs;
    const auto image = subject_.open(file_, epochs, false);
    ASSERT_TRUE(image);
    const std::vector<SnapshotInfo> listed = (*image)->snapshots();
    ASSERT_EQ(listed.size(), kept_.size());
    const auto contents = read_snapshots(subject_, file_, below_);
    ASSERT_TRUE(contents);
    for (size_t i = 0; i < kept_.size(); ++i) {
      EXPECT_EQ(listed[i].name, kept_[i].name);
      EXPECT_EQ((*contents)[i], kept_[i].contents) << kept_[i].name;
    }
    EXPECT_EQ(contents_of(subject_, file_, below_), now());
    EXPECT_EQ(subject_.fault(file_), std::nullopt);
    const auto report = check(subject_, file_, Repair::none);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->leaks, 0U) << report->messages.front();
  }

  std::vector<std::byte> now() const { return model_->contents(); }

  const Subject& subject_;
  std::mt19937_64 random_;
  const TestParent parent_;
  const Image* const below_;
  const std::shared_ptr<MemoryFile> file_;
  std::optional<ModelDisk> model_;
  std::vector<Kept> kept_;
  unsigned named_ = 0;
};

class Snapshots : public testing::TestWithParam<Subject> {};

TEST_P(Snapshots, KeepWhatTheyShowThroughAnyHistory) {
  for (uint64_t seed = 0; seed < rounds(6) && !HasFatalFailure(); ++seed) {
    SCOPED_TRACE(seed);
    History(GetParam(), seed).run();
  }
}

// Each thread has bytes of its own all over the disk, and counts up in them: one after the other,
// again and again.
class Counting {
 public:
  Counting(TestDisk& disk, unsigned thread, uint64_t stripes)
      : disk_(disk), thread_(thread), stripes_(stripes) {}

  void run(const std::atomic<bool>& stop) {
    for (uint64_t count = 0; !stop; ++count) {
      begun_ = count + 1;
      const auto value = static_cast<std::byte>(1 + count / stripes_ % 250);
      ASSERT_TRUE(disk_.write(place(count % stripes_), value));
      ended_ = count + 1;
      if (count % 97 != 0) continue;
      ASSERT_TRUE(disk_.writer().flush());
    }
  }
  uint64_t begun() const { return begun_; }
  uint64_t ended() const { return ended_; }

  // Some moment between the two is what these bytes show.
  void expect_moment(const std::vector<std::byte>& disk, uint64_t ended, uint64_t begun) const {
    for (uint64_t stripe = 0; stripe < stripes_; ++stripe) {
      const auto at = disk.begin() + static_cast<long>(place(stripe).offset);
      ASSERT_TRUE(std::all_of(at, at + kStripe, [&](std::byte b) { return b == *at; }));
      const uint64_t least = round(ended, stripe), most = round(begun, stripe);
      const auto seen = std::to_integer<uint64_t>(*at);
      bool possible = false;
      for (uint64_t r = least; r <= most; ++r) {
        possible = possible || seen == (r == 0 ? 0 : 1 + (r - 1) % 250);
      }
      ASSERT_TRUE(possible) << thread_ << ", " << stripe << ": " << seen << ", not " << least
                            << " to " << most;
    }
  }

 private:
  Range place(uint64_t stripe) const { return {(stripe * kThreads + thread_) * kStripe, kStripe}; }
  // How often the stripe was written when so many writes were done.
  uint64_t round(uint64_t writes, uint64_t stripe) const {
    return writes / stripes_ + (stripe < writes % stripes_ ? 1 : 0);
  }

  TestDisk& disk_;
  const unsigned thread_;
  const uint64_t stripes_;
  std::atomic<uint64_t> begun_{0}, ended_{0};
};

class ConcurrentSnapshots : public testing::TestWithParam<Subject> {};

struct Moment {
  SnapshotId id = 0;
  std::vector<uint64_t> ended, begun;
  std::vector<std::byte> contents;
};

TEST_P(ConcurrentSnapshots, ShowOneMomentOfADiskThatIsBeingWrittenTo) {
  const auto file = std::make_shared<MemoryFile>("image");
  ASSERT_TRUE(GetParam().create(file));
  const uint64_t stripes = GetParam().disk_size / 64 / kThreads;
  {
    TestDisk disk(GetParam(), file, nullptr, {.flush_every_ms = 1});
    ASSERT_TRUE(disk.writer().zero({0, GetParam().disk_size}, File::Zero::free_space));
    std::deque<Counting> writers;
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
      Counting& writer = writers.emplace_back(disk, i, stripes);
      threads.emplace_back([&] { writer.run(stop); });
    }
    std::vector<Moment> moments;
    for (uint64_t i = 0; i < rounds(10); ++i) {
      Moment moment;
      for (const Counting& writer : writers) moment.ended.push_back(writer.ended());
      EXPECT_TRUE(
          disk.writer().change_snapshots({.what = What::create, .name = std::to_string(i)}));
      for (const Counting& writer : writers) moment.begun.push_back(writer.begun());
      {
        const Layout::Request reading(disk.layout());
        moment.id = disk.image().snapshots().back().id;
      }
      moment.contents = read_snapshot(disk, nullptr, moment.id);
      moments.push_back(std::move(moment));
      if (i % 3 != 2) continue;
      const Moment& old = moments[moments.size() - 2];
      EXPECT_EQ(read_snapshot(disk, nullptr, old.id), old.contents);
      EXPECT_TRUE(disk.writer().change_snapshots({.what = What::remove, .id = old.id, .name = {}}));
      moments.erase(moments.end() - 2);
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    for (const Moment& moment : moments) {
      EXPECT_EQ(read_snapshot(disk, nullptr, moment.id), moment.contents);
      for (unsigned i = 0; i < kThreads; ++i) {
        writers[i].expect_moment(moment.contents, moment.ended[i], moment.begun[i]);
      }
    }
    ASSERT_TRUE(disk.writer().close());
  }
  EXPECT_EQ(GetParam().fault(file), std::nullopt);
  const auto report = check(GetParam(), file, Repair::none);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->leaks, 0U) << report->messages.front();
}

// Some images have no room in their refcounts.
std::vector<Subject> larger_with_snapshots() {
  std::vector<Subject> able = only(larger_subjects(), &Subject::can_snapshot);
  std::erase_if(able, [](const Subject& subject) {
    const auto file = std::make_shared<MemoryFile>("image");
    if (!subject.create(file)) return false;
    TestDisk disk(subject, file);
    const Result<void> made = disk.writer().change_snapshots({.what = What::create, .name = "a"});
    return !made && made.error().code() == Errc::unsupported;
  });
  return able;
}

INSTANTIATE_TEST_SUITE_P(Formats, Snapshots,
                         testing::ValuesIn(only(subjects(), &Subject::can_snapshot)), kSubjectName);
INSTANTIATE_TEST_SUITE_P(Used, Snapshots,
                         testing::ValuesIn(only(used_subjects(), &Subject::can_snapshot)),
                         kSubjectName);
INSTANTIATE_TEST_SUITE_P(Formats, ConcurrentSnapshots, testing::ValuesIn(larger_with_snapshots()),
                         kSubjectName);

}  // namespace
}  // namespace platter::test
