// Random operations on a disk and on an array of bytes: after each of them both read the same.
#include <cstring>
#include <memory>
#include <random>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "lib/io/memory_file.h"
#include "tests/contract/subject.h"
#include "tests/support/rounds.h"
#include "tests/support/same_bytes.h"

namespace platter::test {
namespace {

constexpr uint64_t kOpsOfADisk = 5'000;
constexpr uint64_t kMostRead = 6 * KiB;

// Bytes that all look different, to write from.
const std::vector<std::byte>& pool() {
  static const std::vector<std::byte> bytes = [] {
    std::mt19937_64 random(1);
    std::vector<std::byte> out(4 * MiB);
    for (std::byte& byte : out) byte = static_cast<std::byte>(random());
    return out;
  }();
  return bytes;
}

class Disks {
 public:
  Disks(const Subject& subject, uint64_t seed)
      : subject_(subject), random_(seed), file_(std::make_shared<MemoryFile>("image")) {
    constexpr uint64_t kParents[] = {0, 1, 2, 4};  // halves of the disk's size
    const uint64_t halves = kParents[(seed + (subject.is_child ? 1 : 0)) % 4];
    if (!subject.is_base && (halves != 0 || subject.is_child)) {
      parent_.emplace(std::max<uint64_t>(1, halves) * subject.disk_size / 2);
    }
    options_ = {.zeroes = random_() % 3 == 0 ? Zeroes::keep : Zeroes::detect,
                .discard = random_() % 3 != 0,
                .flush_every_ms = 0};
    EXPECT_TRUE(subject.create(file_));
    model_ = contents_of(subject, file_, below());
    open();
  }

  // Empty, or what went wrong.
  std::string run(uint64_t ops) {
    for (uint64_t i = 0; i < ops; ++i) {
      const Range range = draw_range();
      const unsigned what = random_() % 1024;
      const Result<void> done = apply(what, range);
      if (!done) return fmt::format("operation {} ({}): {}", i, what, done.error().message());
      if (!reads_right(range)) return fmt::format("operation {} ({}) reads wrong", i, what);
    }
    return reopen() ? "" : "reads wrong after it was closed";
  }

 private:
  const Image* below() const { return parent_ ? parent_->image() : nullptr; }
  uint64_t below(uint64_t limit) { return random_() % limit; }

  void open() {
    disk_.reset();
    disk_.emplace(subject_, file_, below(), options_);
  }

  bool reopen() {
    if (!disk_->writer().close()) return false;
    disk_.reset();
    if (subject_.fault(file_)) return false;
    if (!same(contents_of(subject_, file_, below()), model_)) return false;
    open();
    return true;
  }

  uint64_t draw_length(uint64_t block) {
    switch (below(6)) {
      case 0: return 1 + below(16);
      case 1: return 1 + below(700);
      case 2: return 512 * (1 + below(8));
      case 3: return block * (1 + below(3));
      case 4: return 1 + below(block + 1);
      default: return 1 + below(std::min<uint64_t>(3 * block, 8 * KiB));
    }
  }

  // Sometimes at the disk's end, or on the borders of sectors or blocks.
  Range draw_range() {
    const uint64_t size = model_.size();
    const uint64_t unit = disk_->view().layers().front().image->info().block_size;
    const uint64_t block = unit == 0 ? 4 * KiB : unit;
    const uint64_t length = std::min(size, draw_length(block));
    uint64_t offset = below(size);
    switch (below(5)) {
      case 0: offset = size - length; break;
      case 1: offset = align_down(offset, 512); break;
      case 2: offset = align_down(offset, block); break;
      default: break;
    }
    return intersect({offset, length}, {0, size});
  }

  Result<void> write(const Range& range, Bytes data) {
    std::memcpy(model_.data() + range.offset, data.data(), range.length);
    return disk_->writer().write(range.offset, data);
  }

  Result<void> apply(unsigned what, const Range& range) {
    if (what == 0) return reopen() ? Result<void>() : Error(Errc::corrupt, "does not come back");
    if (what < 32) return disk_->writer().flush();
    if (what < 640) {
      return write(range, Bytes(pool()).subspan(below(pool().size() - range.length), range.length));
    }
    if (what < 704) return write(range, std::vector<std::byte>(range.length));
    std::memset(model_.data() + range.offset, 0, range.length);
    if (what < 768) return disk_->writer().zero(range, File::Zero::keep_space);
    if (what < 832) return disk_->writer().zero(range, File::Zero::free_space);
    return disk_->writer().discard(range);
  }

  // What was touched and what is around it, or any other place.
  bool reads_right(const Range& touched) {
    Range want{below(model_.size()), 1 + below(kMostRead)};
    if (below(2) == 0) {
      const uint64_t before = std::min<uint64_t>(touched.offset, below(600));
      want = {touched.offset - before, before + touched.length + below(600)};
    }
    want = intersect(want, {0, model_.size()});
    seen_.resize(want.length);
    if (!disk_->view().read(want.offset, seen_)) return false;
    return std::memcmp(seen_.data(), model_.data() + want.offset, want.length) == 0;
  }

  const Subject& subject_;
  std::mt19937_64 random_;
  FilePtr file_;
  std::optional<TestParent> parent_;
  WriterOptions options_;
  std::vector<std::byte> model_, seen_;
  std::optional<TestDisk> disk_;
};

class Differential : public testing::TestWithParam<Subject> {};

TEST_P(Differential, ReadsAsAnArrayOfBytesDoes) {
  const uint64_t disks = rounds(3);
  for (uint64_t seed = 0; seed < disks; ++seed) {
    const auto disk = std::make_unique<Disks>(GetParam(), seed);
    ASSERT_EQ(disk->run(kOpsOfADisk), "") << "seed " << seed;
  }
  RecordProperty("operations", static_cast<int>(disks * kOpsOfADisk));
}

INSTANTIATE_TEST_SUITE_P(Formats, Differential, testing::ValuesIn(larger_subjects()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter::test
