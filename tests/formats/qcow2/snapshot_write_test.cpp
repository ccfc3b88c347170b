// Snapshots taken of images of every kind: what they show, what qemu-img says of the image, and
// what is left of one when the power goes or a call fails.
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/ops/create.h"
#include "tests/support/bytes.h"
#include "tests/support/crash_file.h"
#include "tests/support/open_disk.h"
#include "tests/support/qemu.h"
#include "tests/support/snapshots.h"
#include "tests/support/wrapped_file.h"

namespace platter {
namespace {

using platter::test::CrashFile;
using platter::test::run;
using platter::test::take_snapshot;
using platter::test::TempDir;
using testing::HasSubstr;

constexpr uint64_t kSize = 300 * KiB + 512;

Result<ImagePtr> open_alone(const FilePtr& file, Epochs& epochs) {
  const auto denied = deny_resolver("no other file is part of this");
  return find_format("qcow2")->open(OpenRequest{.file = file,
                                                .resolver = *denied,
                                                .tables = std::make_shared<PageCache>(256 * KiB),
                                                .writable = true,
                                                .epochs = &epochs});
}

class Disk : public test::OpenDisk {
 public:
  explicit Disk(const FilePtr& file)
      : OpenDisk([&](Epochs& epochs) { return open_alone(file, epochs); }) {}
  Result<void> write(uint64_t offset, const std::string& data) {
    return writer().write(offset, test::bytes_of(data));
  }
  std::string contents(SnapshotId snapshot = 0) {
    return std::string(test::text_of(all(snapshot)));
  }
};

Result<void> make(const FilePtr& file, const Options& options) {
  const auto writer =
      TRY(find_format("qcow2")->create({.file = file, .size = kSize, .options = options}));
  return writer->finish();
}

std::string pattern(size_t size, unsigned seed) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i / 512 * 7 + seed) % 251 + 1);
  return bytes;
}

// Into a file qemu-img can look at.
void save(const File& file, const std::string& path) {
  const uint64_t size = file.stat()->size;
  std::vector<std::byte> bytes(size);
  ASSERT_TRUE(file.read_exact(0, bytes));
  test::write_file(path, Bytes(bytes));
}

struct SnapshotVariant {
  std::string name;
  Options options;
};

class Qcow2SnapshotOf : public testing::TestWithParam<SnapshotVariant> {};

TEST_P(Qcow2SnapshotOf, EveryStateReadsAsItWasAndTheImageIsSound) {
  const auto file = std::make_shared<MemoryFile>("disk.qcow2");
  ASSERT_TRUE(make(file, GetParam().options));
  std::vector<std::string> states;
  std::string now(kSize, '\0');
  const auto put = [&](Disk& disk, uint64_t offset, const std::string& data) {
    const Result<void> done = disk.write(offset, data);
    ASSERT_TRUE(done) << done.error().message();
    now.replace(offset, data.size(), data);
  };
  for (unsigned session = 0; session < 2; ++session) {
    Disk disk(file);
    for (unsigned i = 0; i < 2; ++i) {
      const unsigned seed = session * 2 + i;
      put(disk, seed * 40000, pattern(60000, seed * 10));
      put(disk, kSize - 700 - seed * 512, pattern(600, seed));
      ASSERT_TRUE(disk.writer().zero({seed * 30000, 20000}, File::Zero::free_space));
      now.replace(seed * 30000, 20000, 20000, '\0');
      const auto done = take_snapshot(disk.image(), "state " + std::to_string(seed));
      ASSERT_TRUE(done) << done.error().message();
      states.push_back(now);
      // It can be written to and read on as if nothing had been.
      put(disk, 1000 + seed, pattern(3000, seed + 100));
      EXPECT_EQ(disk.image().snapshots().size(), states.size());
      for (size_t s = 0; s < states.size(); ++s)
        EXPECT_TRUE(disk.contents(s + 1) == states[s]) << s;
      EXPECT_TRUE(disk.contents() == now);
    }
    ASSERT_TRUE(disk.writer().close());
  }
  {
    Disk again(file);
    for (size_t s = 0; s < states.size(); ++s) {
      EXPECT_TRUE(again.contents(s + 1) == states[s]);
      EXPECT_EQ(again.image().snapshots()[s].name, "state " + std::to_string(s));
      EXPECT_EQ(again.image().snapshots()[s].format_id, std::to_string(s + 1));
    }
    EXPECT_TRUE(again.contents() == now);
  }
  if (!test::have_qemu()) return;
  const TempDir dir;
  save(*file, dir / "disk.qcow2");
  MUST_RUN(dir, "qemu-img check disk.qcow2");
  for (size_t s = 0; s < states.size(); ++s) {
    MUST_RUN(dir, fmt::format(
                      "qemu-img convert -l 'snapshot.name=state {}' -O raw disk.qcow2 s.raw", s));
    EXPECT_TRUE(test::read_file(dir / "s.raw") == states[s]) << s;
  }
  // QEMU takes them for its own: back to the first state, and without it.
  MUST_RUN(dir, "qemu-img snapshot -a 'state 0' disk.qcow2 && qemu-img check disk.qcow2");
  MUST_RUN(dir, "qemu-img snapshot -d 'state 0' disk.qcow2 && qemu-img check disk.qcow2");
  MUST_RUN(dir, "qemu-img convert -O raw disk.qcow2 s.raw");
  EXPECT_TRUE(test::read_file(dir / "s.raw") == states[0]);
}

INSTANTIATE_TEST_SUITE_P(
    Variants, Qcow2SnapshotOf,
    testing::Values(SnapshotVariant{"plain", {}}, SnapshotVariant{"v2", {{"compat", "0.10"}}},
                    SnapshotVariant{"c512", {{"cluster_size", "512"}}},
                    SnapshotVariant{"c1kr64", {{"cluster_size", "1k"}, {"refcount_bits", "64"}}},
                    SnapshotVariant{"c4kv2", {{"cluster_size", "4k"}, {"compat", "0.10"}}},
                    SnapshotVariant{"c2M", {{"cluster_size", "2M"}}},
                    SnapshotVariant{"r4", {{"cluster_size", "4k"}, {"refcount_bits", "4"}}},
                    SnapshotVariant{"r8", {{"refcount_bits", "8"}}},
                    SnapshotVariant{"extended", {{"extended_l2", "on"}, {"cluster_size", "16k"}}},
                    SnapshotVariant{"preallocated",
                                    {{"preallocation", "metadata"}, {"cluster_size", "4k"}}}),
    [](const auto& test) { return test.param.name; });

TEST(Qcow2Snapshot, CountsSharedCompressedClustersOnceForEachStream) {
  REQUIRE_QEMU();
  const TempDir dir;
  test::write_file(dir / "a.raw", pattern(kSize, 1));
  MUST_RUN(dir, "qemu-img convert -c -f raw -O qcow2 a.raw disk.qcow2");
  {
    const auto container = Container::open(dir / "disk.qcow2", {.access = Access::write});
    ASSERT_TRUE(container) << container.error().message();
    ASSERT_TRUE(take_snapshot(*(*container)->chain().front().image, "a"));
    ASSERT_TRUE((*container)->writer()->write(0, std::vector<std::byte>(100000)));
    ASSERT_TRUE((*container)->writer()->close());
  }
  MUST_RUN(dir, "qemu-img check disk.qcow2");
  MUST_RUN(dir, "qemu-img convert -l a -O raw disk.qcow2 b.raw && cmp a.raw b.raw");
}

TEST(Qcow2Snapshot, OfAnEmptyDiskAndOfOneOfNoSize) {
  REQUIRE_QEMU();
  const TempDir dir;
  for (const uint64_t size : {uint64_t{0}, uint64_t{64} << 40}) {
    const std::string path = dir / fmt::format("{}.qcow2", size);
    ASSERT_TRUE(create_image({.path = path, .format = *find_format("qcow2"), .size = size}));
    {
      const auto container = Container::open(path, {.access = Access::write});
      const auto done = take_snapshot(*(*container)->chain().front().image, "empty");
      ASSERT_TRUE(done) << done.error().message();
    }
    MUST_RUN(dir, fmt::format("qemu-img check {0}.qcow2 && qemu-img snapshot -l {0}.qcow2", size));
    EXPECT_THAT(test::read_file(dir / "out.txt"), HasSubstr("empty"));
  }
}

TEST(Qcow2Snapshot, KeepsTheEntriesThereAre) {
  REQUIRE_QEMU();
  const TempDir dir;
  MUST_RUN(dir, "qemu-img create -f qcow2 disk.qcow2 1M");
  MUST_RUN(dir, "qemu-io -c 'write -P 7 0 100k' disk.qcow2");
  for (const char* name : {"one", "two", "three"}) {
    MUST_RUN(dir, fmt::format("qemu-img snapshot -c {} disk.qcow2", name));
  }
  MUST_RUN(dir, "qemu-img snapshot -d one disk.qcow2");
  {
    const auto container = Container::open(dir / "disk.qcow2", {.access = Access::write});
    ASSERT_TRUE(take_snapshot(*(*container)->chain().front().image, "four"));
  }
  MUST_RUN(dir, "qemu-img check disk.qcow2 && qemu-img snapshot -l disk.qcow2");
  const auto container = Container::open(dir / "disk.qcow2");
  const auto snapshots = (*container)->chain().front().image->snapshots();
  ASSERT_EQ(snapshots.size(), 3U);
  EXPECT_EQ(snapshots[0].name, "two");
  EXPECT_EQ(snapshots[2].name, "four");
  EXPECT_EQ(snapshots[2].format_id, "4");
  EXPECT_NEAR(static_cast<double>(snapshots[2].created_ns),
              static_cast<double>(time(nullptr)) * 1e9, 600e9);
}

void expect_refused(const FilePtr& file, std::string_view name, Errc code, std::string_view part) {
  Disk disk(file);
  const auto done = take_snapshot(disk.image(), name);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), code);
  EXPECT_THAT(done.error().message(), HasSubstr(part));
}

TEST(Qcow2Snapshot, IsRefusedForNamesThatAreNone) {
  const auto file = std::make_shared<MemoryFile>("disk.qcow2");
  ASSERT_TRUE(make(file, {}));
  Disk disk(file);
  ASSERT_TRUE(take_snapshot(disk.image(), std::string(255, 'n')));
  expect_refused(file, "", Errc::invalid, "1 to 255 bytes");
  expect_refused(file, std::string(256, 'n'), Errc::invalid, "1 to 255 bytes");
  expect_refused(file, std::string_view("a\0b", 3), Errc::invalid, "no zero");
  expect_refused(file, std::string(255, 'n'), Errc::invalid, "already");
}

TEST(Qcow2Snapshot, IsRefusedWhereACountHasNoRoom) {
  const auto one = std::make_shared<MemoryFile>("one.qcow2");
  ASSERT_TRUE(make(one, {{"refcount_bits", "1"}}));
  expect_refused(one, "a", Errc::unsupported, "refcounts of one bit");
  const auto two = std::make_shared<MemoryFile>("two.qcow2");
  ASSERT_TRUE(make(two, {{"refcount_bits", "2"}}));
  {
    Disk disk(two);
    ASSERT_TRUE(disk.write(0, pattern(100, 1)));
    ASSERT_TRUE(take_snapshot(disk.image(), "a"));
    ASSERT_TRUE(take_snapshot(disk.image(), "b"));
    ASSERT_TRUE(disk.writer().close());
  }
  expect_refused(two, "c", Errc::unsupported, "has no room for more");
  {
    // What was prepared for it is free again.
    Disk disk(two);
    ASSERT_FALSE(take_snapshot(disk.image(), "c"));
    ASSERT_TRUE(disk.write(70000, pattern(100, 1)));
    ASSERT_TRUE(disk.writer().close());
    EXPECT_EQ(disk.image().snapshots().size(), 2U);
  }
  if (!test::have_qemu()) return;
  const TempDir dir;
  save(*two, dir / "disk.qcow2");
  MUST_RUN(dir, "qemu-img check disk.qcow2");
}

TEST(Qcow2Snapshot, IsRefusedForDataInAnotherFile) {
  const TempDir dir;
  ASSERT_TRUE(create_image({.path = dir / "disk.qcow2",
                            .format = *find_format("qcow2"),
                            .size = MiB,
                            .options = {{"data_file", dir / "d"}}}));
  const auto container = Container::open(dir / "disk.qcow2", {.access = Access::write});
  const auto done = take_snapshot(*(*container)->chain().front().image, "a");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::unsupported);
}

// A disk with a snapshot, zeroes and discarded space, on which the next snapshot is taken.
class Qcow2SnapshotCut : public testing::Test {
 protected:
  void prepare(const FilePtr& file) {
    ASSERT_TRUE(make(file, {{"cluster_size", "1k"}}));
    Disk disk(file);
    ASSERT_TRUE(disk.write(0, pattern(200000, 3)));
    ASSERT_TRUE(take_snapshot(disk.image(), "old"));
    old_ = disk.contents();
    ASSERT_TRUE(disk.write(5000, pattern(50000, 9)));
    ASSERT_TRUE(disk.writer().zero({90000, 30000}, File::Zero::free_space));
    ASSERT_TRUE(disk.writer().close());
    now_ = disk.contents();
  }

  // Whole or absent, the disk as it was, nothing but leaks.
  void expect_whole_or_absent(const std::shared_ptr<MemoryFile>& file, bool must_be_there = false) {
    Disk disk(file);
    const size_t count = disk.image().snapshots().size();
    ASSERT_TRUE(count == 2 || (count == 1 && !must_be_there)) << count;
    EXPECT_TRUE(disk.contents() == now_);
    EXPECT_TRUE(disk.contents(1) == old_);
    if (count == 2) {
      EXPECT_TRUE(disk.contents(2) == now_);
    }
    ++(count == 2 ? whole_ : absent_);
    if (!test::have_qemu()) return;
    save(*file, dir_ / "after.qcow2");
    const int status = run(dir_, "qemu-img check after.qcow2");
    EXPECT_TRUE(status == 0 || status == 3) << test::read_file(dir_ / "out.txt");
  }

  const TempDir dir_;
  std::string old_, now_;
  unsigned whole_ = 0, absent_ = 0;
};

TEST_F(Qcow2SnapshotCut, APowerCutLeavesItWholeOrAbsent) {
  const auto crash = std::make_shared<CrashFile>();
  prepare(crash);
  std::mt19937_64 random(1);
  bool armed = false;
  const auto file =
      std::make_shared<test::WrappedFile>(crash, [&](test::Call call) -> Result<void> {
        if (!armed || call == test::Call::read) return {};
        armed = false;
        for (int i = 0; i < 2; ++i) expect_whole_or_absent(crash->crash(random));
        armed = true;
        return {};
      });
  Disk disk(file);
  armed = true;
  ASSERT_TRUE(take_snapshot(disk.image(), "new"));
  armed = false;
  EXPECT_GT(absent_, 10U);
  EXPECT_GT(whole_, 0U);
  for (int i = 0; i < 10; ++i) expect_whole_or_absent(crash->crash(random), true);
}

TEST_F(Qcow2SnapshotCut, ACallThatFailsLeavesItWholeOrAbsent) {
  const auto original = std::make_shared<MemoryFile>("original");
  prepare(original);
  std::vector<std::byte> bytes(original->stat()->size);
  ASSERT_TRUE(original->read_exact(0, bytes));
  for (uint64_t n = 1;; ++n) {
    const auto memory = std::make_shared<MemoryFile>("copy");
    ASSERT_TRUE(memory->write(0, bytes));
    test::FailAt fail(n, ENOSPC);
    fail.pause(true);
    Disk disk(std::make_shared<test::WrappedFile>(memory, fail.hook()));
    fail.pause(false);
    const bool made = bool{take_snapshot(disk.image(), "new")};
    const bool fired = fail.fired();
    fail.disarm();
    EXPECT_TRUE(made || fired);
    EXPECT_TRUE(disk.contents() == now_);
    ASSERT_NO_FATAL_FAILURE(expect_whole_or_absent(memory, made));
    if (!fired) break;
  }
  EXPECT_GT(absent_, 10U);
}

}  // namespace
}  // namespace platter
