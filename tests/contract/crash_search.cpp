#include "tests/contract/crash_search.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "lib/ops/give_up_zeroes.h"
#include "tests/contract/history.h"
#include "tests/support/crash_file.h"
#include "tests/support/same_bytes.h"
#include "tests/support/snapshots.h"
#include "tests/support/wrapped_file.h"

namespace platter::test {
namespace {

class Life {
 public:
  Life(const Subject& subject, uint64_t seed, const Wrap& wrap, Between between,
       SearchOutcome& outcome)
      : subject_(subject),
        wrap_(wrap),
        between_(between),
        outcome_(outcome),
        random_(seed),
        // What a longer parent has behind the disk must stay hidden when the disk grows; only a
        // child is made to.
        parent_(subject.disk_size * (subject.is_child && seed % 2 == 0 ? 2 : 1)),
        below_(parent_.below(subject, seed)),
        memory_(std::make_shared<CrashFile>()) {}

  void live() {
    ASSERT_TRUE(subject_.create(memory_));
    put_on_the_disk();
    model_.emplace(contents_of(subject_, memory_, below_));
    auto snapshots = read_snapshots(subject_, memory_, below_);
    ASSERT_TRUE(snapshots);
    snapshots_ = *std::move(snapshots);
    for (unsigned session = 0; session < 4 && !outcome_.fault; ++session) {
      ASSERT_NO_FATAL_FAILURE(write());
      if (outcome_.fault) return;
      ASSERT_NO_FATAL_FAILURE(maintain());
    }
  }

 private:
  void put_on_the_disk() {
    file_ = std::make_shared<WrappedFile>(wrap_ ? wrap_(memory_) : memory_,
                                          [this](Call call) -> Result<void> {
                                            if (every_call_ && call != Call::read) look();
                                            return {};
                                          });
  }

  // Power is lost now.
  void look() {
    if (outcome_.fault) return;
    ++outcome_.states;
    outcome_.fault = harm_done_to(memory_->crash(random_));
  }

  std::optional<std::string> harm_done_to(const FilePtr& after) {
    if (auto fault = subject_.fault(after)) return fault;
    auto disk = read_disk(subject_, after, below_);
    if (!disk) return disk.error().message();
    if (subject_.can_snapshot) {
      const auto states = read_snapshots(subject_, after, below_);
      if (!states) return states.error().message();
      if (changing_to_ && same(*states, changing_to_->states) && same(*disk, changing_to_->disk)) {
        return std::nullopt;
      }
      if (!same(*states, snapshots_)) {
        return fmt::format("{} snapshots, or one is not what it was", states->size());
      }
    }
    if (disk->size() == model_->size()) return model_->impossible(*disk);
    if (disk->size() != growing_to_) return fmt::format("a size of {}", disk->size());
    for (uint64_t at = model_->size(); at < disk->size(); ++at) {
      if ((*disk)[at] != std::byte{0}) return fmt::format("byte {} is new and not zero", at);
    }
    disk->resize(model_->size());
    return model_->impossible(*disk);
  }

  void write() {
    TestDisk disk(subject_, file_, below_);
    const uint64_t steps = between_ == Between::snapshots ? random_() % 4 : 8 + random_() % 16;
    for (uint64_t step = 0; step < steps && !outcome_.fault; ++step) {
      const Operation op = draw(random_, model_->size(), 1 + step_++ % 255);
      every_call_ = step == 0 || random_() % 8 == 0;
      // Possible from the moment it begins; flushed only when it has returned.
      if (op.kind != Operation::Kind::flush) apply(*model_, op);
      ASSERT_TRUE(apply(disk.writer(), op));
      every_call_ = false;
      if (op.kind == Operation::Kind::flush) apply(*model_, op);
      look();
    }
    if (outcome_.fault) return;
    ASSERT_EQ(disk.contents(), now());
    if (random_() % 3 == 0) return lose_power();
    every_call_ = true;
    ASSERT_TRUE(disk.writer().close());
    every_call_ = false;
    model_->flushed();
    look();
  }

  // What is left after it is the disk from here on.
  void lose_power() {
    memory_ = std::make_shared<CrashFile>(*memory_->crash(random_));
    put_on_the_disk();
    outcome_.fault = harm_done_to(memory_);
    if (!outcome_.fault) model_.emplace(contents_of(subject_, memory_, below_));
  }

  void maintain() {
    const uint64_t what = between_ == Between::snapshots ? 4 : random_() % 8;
    every_call_ = true;
    if (what == 0) reopen();
    if (what == 1 && subject_.can_resize && model_->size() < 2 * subject_.disk_size) resize();
    if (what == 2 && subject_.can_repair) repair(Repair::leaks);
    if (what == 3 && subject_.can_repair) repair(Repair::all);
    if (what >= 4 && what < 7 && subject_.can_snapshot) change_snapshots();
    if ((what == 7 || (what == 6 && !subject_.can_snapshot)) && subject_.can_compact) compact();
    every_call_ = false;
  }

  // A session in which nothing is written.
  void reopen() {
    TestDisk disk(subject_, file_, below_);
    EXPECT_EQ(disk.contents(), now());
    EXPECT_TRUE(disk.writer().flush());
    EXPECT_TRUE(disk.writer().close());
  }

  void resize() {
    growing_to_ = model_->size() + 512 * (1 + random_() % 20);
    const Result<void> done = grow(subject_, file_, below_, growing_to_);
    std::vector<std::byte> disk = now();
    disk.resize(growing_to_);
    growing_to_ = 0;
    // A snapshot may have no room for a size of its own.
    if (!done && done.error().code() == Errc::unsupported && !snapshots_.empty()) return;
    EXPECT_TRUE(done) << done.error().message();
    if (outcome_.fault) return;
    model_.emplace(std::move(disk));
    look();
  }

  using What = SnapshotRequest::What;

  SnapshotRequest draw_change() {
    const std::string name = fmt::format("s{}", step_++);
    const uint64_t what = random_() % 6;
    if (snapshots_.empty() || (what < 3 && snapshots_.size() < 4)) {
      return {.what = What::create, .name = name};
    }
    const SnapshotId which = random_() % snapshots_.size() + 1;
    if (what == 4) return {.what = What::apply, .id = which};
    if (what == 5) return {.what = What::rename, .id = which, .name = name};
    return {.what = What::remove, .id = which};
  }

  // What the image has when the change of the disk as it is now is there.
  void expect(const SnapshotRequest& request) {
    changing_to_ = {.disk = now(), .states = snapshots_};
    auto& states = changing_to_->states;
    const auto which = static_cast<size_t>(request.id) - 1;
    if (request.what == What::create) states.push_back(now());
    if (request.what == What::apply) changing_to_->disk = states[which];
    if (request.what == What::remove) states.erase(states.begin() + static_cast<long>(which));
  }

  // All at once, or with the disk written to meanwhile.
  Result<void> change(TestDisk& disk, const SnapshotRequest& request) {
    if (random_() % 3 == 0) {
      expect(request);
      return disk.writer().change_snapshots(request);
    }
    const auto under_way = TRY(disk.image().change_snapshots(request));
    TRY(write_some(disk));
    TRY(under_way->prepare());
    TRY(write_some(disk));
    if (random_() % 2 == 0) {
      TRY(disk.writer().flush());
      model_->flushed();
    }
    expect(request);
    TRY(under_way->finish());
    TRY(under_way->clean_up());
    return disk.image().flush(false);
  }

  Result<void> write_some(TestDisk& disk) {
    for (uint64_t step = random_() % 4; step > 0; --step) {
      const Operation op = draw(random_, model_->size(), 1 + step_++ % 255);
      if (op.kind != Operation::Kind::flush) apply(*model_, op);
      TRY(apply(disk.writer(), op));
      if (op.kind == Operation::Kind::flush) apply(*model_, op);
    }
    return {};
  }

  void change_snapshots() {
    {
      TestDisk disk(subject_, file_, below_);
      const Result<void> done = change(disk, draw_change());
      EXPECT_TRUE(done) << done.error().message();
      EXPECT_TRUE(disk.writer().close());
    }
    if (outcome_.fault) return;
    snapshots_ = changing_to_->states;
    model_.emplace(changing_to_->disk);
    changing_to_.reset();
    look();
  }

  void repair(Repair how) {
    const auto done = check(subject_, file_, how);
    EXPECT_TRUE(done) << done.error().message();
    look();
    if (outcome_.fault) return;
    const auto report = check(subject_, memory_->crash(random_), Repair::none);
    if (!report) outcome_.fault = report.error().message();
    if (report && report->leaks != 0) outcome_.fault = "after a repair: " + report->messages[0];
  }

  void compact() {
    NoProgress nobody;
    if (random_() % 2 == 0) {
      TestDisk disk(subject_, file_, below_);
      EXPECT_TRUE(give_up_zeroes(disk.layout(), disk.image(), 1, nobody));
      EXPECT_EQ(disk.contents(), now());
    }
    const uint64_t before = memory_->stat()->size;
    const auto done = test::compact(subject_, file_, nobody);
    EXPECT_TRUE(done) << done.error().message();
    EXPECT_LE(memory_->stat()->size, before);
    look();
    if (outcome_.fault) return;
    const auto after = memory_->crash(random_);
    if (after->stat()->size != memory_->stat()->size) outcome_.fault = "the file was not cut";
  }

  std::vector<std::byte> now() const { return model_->contents(); }

  const Subject& subject_;
  const Wrap& wrap_;
  const Between between_;
  SearchOutcome& outcome_;
  std::mt19937_64 random_;
  const TestParent parent_;
  const Image* const below_;
  std::shared_ptr<CrashFile> memory_;
  FilePtr file_;  // memory_, wrapped
  std::optional<ModelDisk> model_;
  bool every_call_ = false;
  uint64_t growing_to_ = 0;  // bytes; not growing: 0
  std::vector<std::vector<std::byte>> snapshots_;
  struct State {
    std::vector<std::byte> disk;
    std::vector<std::vector<std::byte>> states;
  };
  std::optional<State> changing_to_;
  unsigned step_ = 0;
};

}  // namespace

SearchOutcome search_crashes(const Subject& subject, uint64_t states, const Wrap& wrap,
                             Between between) {
  SearchOutcome outcome;
  for (uint64_t seed = 0; outcome.states < states && !outcome.fault; ++seed) {
    Life(subject, seed, wrap, between, outcome).live();
    if (testing::Test::HasFatalFailure()) break;
  }
  return outcome;
}

}  // namespace platter::test
