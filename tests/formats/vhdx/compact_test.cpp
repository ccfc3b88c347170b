// Blocks that lie side by side afterwards, whatever happens on the way; and what stays as it was.
#include "formats/vhdx/compact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/io/posix_file.h"
#include "tests/formats/vhdx/vhdx_disk.h"
#include "tests/support/compaction.h"
#include "tests/support/hand_made_image.h"
#include "tests/support/qemu.h"
#include "tests/support/rounds.h"
#include "tests/support/same_bytes.h"

namespace platter::vhdx {
namespace {

using test::vhdx_entry;
using test::VhdxBuilder;

Result<void> compact_file(const FilePtr& file, Progress& progress) {
  Epochs epochs;
  const ImagePtr image = TRY(test::open_writable_vhdx(file, epochs));
  return image->compact(progress);
}

void must_compact(const FilePtr& file) {
  NoProgress progress;
  test::expect_done(compact_file(file, progress));
}

// Two blocks behind gaps, a place that is kept for nothing, and what a crash leaked.
VhdxBuilder with_gaps() {
  VhdxBuilder builder{.disk_size = 4 * MiB};
  builder.put_block(0, 4, 0x20);
  builder.put_block(3, 2, 0x50);
  builder.put_block(1, 1, 0x11, 2);
  builder.bat[2] = 1;
  builder.file_size = kData + 6 * MiB;
  return builder;
}

// With a sector bitmap behind them, and sectors of its own between a parent's.
VhdxBuilder child_with_gaps() {
  VhdxBuilder builder = with_gaps();
  builder.parameters = 2;
  builder.locator = {{"relative_path", "x"}};
  builder.bat[0] = (kData + 4 * MiB) | 7;
  builder.bat[4096] = (kData + 5 * MiB) | 6;
  builder.bytes[kData + 5 * MiB] = {std::byte{0x81}, std::byte{0x42}};
  return builder;
}

class VhdxCompact : public testing::TestWithParam<bool> {
 protected:
  VhdxCompact() : parent_("parent", 4 * MiB) {
    const std::vector<std::byte> full(4 * MiB, std::byte{0xee});
    parent_.data(0, full, 0);
    before_ = contents(start_);
  }
  std::vector<std::byte> contents(const FilePtr& file) const {
    return test::vhdx_contents(file, GetParam() ? &parent_ : nullptr);
  }
  test::Look same_disk() const {
    return [this](const FilePtr& file) {
      EXPECT_TRUE(test::same(contents(file), before_));
      const CheckReport report = test::vhdx_checked(file);
      EXPECT_EQ(report.corruptions, 0u) << testing::PrintToString(report.messages);
    };
  }

  test::HandMadeImage parent_;
  const FilePtr start_ = (GetParam() ? child_with_gaps() : with_gaps()).file();
  std::vector<std::byte> before_;
};

TEST_P(VhdxCompact, EndsTheFileBehindWhatItHolds) {
  must_compact(start_);
  same_disk()(start_);
  EXPECT_EQ(start_->stat()->size, kData + (GetParam() ? 3 : 2) * MiB);
  const CheckReport report = test::vhdx_checked(start_);
  EXPECT_EQ(report.leaks, 0u);
}

TEST_P(VhdxCompact, OnceMoreChangesNoByte) {
  must_compact(start_);
  const auto once = std::make_shared<test::CrashFile>(*start_);
  const auto no_change = [](test::Call call) -> Result<void> {
    EXPECT_TRUE(call == test::Call::read || call == test::Call::sync);
    return {};
  };
  must_compact(std::make_shared<test::WrappedFile>(once, no_change));
}

TEST_P(VhdxCompact, SurvivesAPowerCutAtAnyMoment) {
  test::compact_while_power_is_lost(*start_, compact_file, same_disk(), test::rounds(1, 20), 2);
}

TEST_P(VhdxCompact, SurvivesAnyFailingCall) {
  test::compact_while_calls_fail(*start_, compact_file, same_disk());
}

TEST_P(VhdxCompact, CancelledAtAnyStepHasTheSameDisk) {
  test::compact_while_cancelled(*start_, compact_file, same_disk());
}

INSTANTIATE_TEST_SUITE_P(Kinds, VhdxCompact, testing::Bool(),
                         [](const auto& test) { return test.param ? "Child" : "Base"; });

TEST(VhdxCompaction, KeepsStatesAndTheGuidChildrenKnowItBy) {
  const VhdxBuilder builder = with_gaps();
  const auto file = builder.file();
  must_compact(file);
  EXPECT_EQ(vhdx_entry(*file, 1), 2u);
  EXPECT_EQ(vhdx_entry(*file, 2), 1u);
  const Header now = read_headers(*file)->current;
  EXPECT_EQ(now.data_write, builder.data_write);
  EXPECT_NE(now.file_write, builder.file_write);
  EXPECT_TRUE(now.log.is_nil());
}

TEST(VhdxCompaction, MovesTheLastBlocksToTheFirstGaps) {
  VhdxBuilder builder{.disk_size = 6 * MiB};
  for (const uint64_t i : {1U, 3U, 4U, 5U}) builder.put_block(i, i, static_cast<uint8_t>(i));
  const auto file = builder.file();
  must_compact(file);
  EXPECT_EQ(vhdx_entry(*file, 1), (kData + MiB) | 6);
  EXPECT_EQ(vhdx_entry(*file, 3), (kData + 3 * MiB) | 6);
  EXPECT_EQ(vhdx_entry(*file, 5), kData | 6);
  EXPECT_EQ(vhdx_entry(*file, 4), (kData + 2 * MiB) | 6);
}

TEST(VhdxCompaction, GivesUpBlocksOfZeroesAndKeepsAParentHidden) {
  test::HandMadeImage parent("parent", 2 * MiB + 512);
  const std::vector<std::byte> full(2 * MiB + 512, std::byte{0xee});
  parent.data(0, full, 0);
  VhdxBuilder builder{.parameters = 2, .disk_size = 2 * MiB + 512};
  builder.locator = {{"relative_path", "x"}};
  builder.bat = {{0, kData | 6}, {1, (kData + MiB) | 6}, {2, (kData + 2 * MiB) | 6}};
  // The first block is zeroes, and so is what the disk has of the last.
  builder.data = {{kData + MiB, MiB, 0x10}, {kData + 2 * MiB + 512, MiB - 512, 0x20}};
  const auto file = builder.file();
  const auto before = test::vhdx_contents(file, &parent);
  must_compact(file);
  EXPECT_TRUE(test::same(test::vhdx_contents(file, &parent), before));
  EXPECT_EQ(vhdx_entry(*file, 0), 2U);
  EXPECT_EQ(vhdx_entry(*file, 1), kData | 6);
  EXPECT_EQ(vhdx_entry(*file, 2), 2U);
  EXPECT_EQ(file->stat()->size, kData + MiB);
  EXPECT_EQ(read_headers(*file)->current.data_write, builder.data_write);
}

TEST(VhdxCompaction, OfBlocksOfSeveralMiBFindsGapsThatHoldThem) {
  VhdxBuilder builder{.block_size = 2 * MiB, .disk_size = 8 * MiB};
  // Behind a gap of one MiB and one of three.
  builder.bat[0] = (kData + MiB) | 6;
  builder.bat[1] = (kData + 6 * MiB) | 6;
  builder.data = {{kData + MiB, 2 * MiB, 0x10}, {kData + 6 * MiB, 2 * MiB, 0x20}};
  const auto file = builder.file();
  const auto before = test::vhdx_contents(file);
  ASSERT_EQ(before.size(), 8 * MiB);
  must_compact(file);
  EXPECT_TRUE(test::same(test::vhdx_contents(file), before));
  EXPECT_EQ(test::vhdx_checked(file).corruptions + test::vhdx_checked(file).leaks, 0u);
  EXPECT_EQ(vhdx_entry(*file, 1), (kData + 3 * MiB) | 6);
  EXPECT_EQ(file->stat()->size, kData + 5 * MiB);
}

TEST(VhdxCompaction, FillsUpAFileThatDoesNotEndWithAMiB) {
  VhdxBuilder builder{.disk_size = 4 * MiB};
  builder.put_block(1, 1, 0x33);
  builder.file_size = kData + MiB + 700 * KiB;
  const auto file = builder.file();
  const auto before = test::vhdx_contents(file);
  must_compact(file);
  EXPECT_TRUE(test::same(test::vhdx_contents(file), before));
  EXPECT_EQ(file->stat()->size, kData + MiB);
}

TEST(VhdxCompaction, IsRefusedWithNothingChanged) {
  const auto expect_refusal = [](const VhdxBuilder& builder, Errc code) {
    const auto start = builder.file();
    const auto no_change = [](test::Call call) -> Result<void> {
      EXPECT_TRUE(call == test::Call::read || call == test::Call::sync);
      return {};
    };
    NoProgress progress;
    const auto done = compact_file(std::make_shared<test::WrappedFile>(start, no_change), progress);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), code) << done.error().message();
  };
  VhdxBuilder fixed{.parameters = 1, .disk_size = MiB};
  fixed.put_block(0, 1, 0x10);
  expect_refusal(fixed, Errc::unsupported);
  VhdxBuilder shared = with_gaps();
  shared.bat[2] = shared.bat[0];
  expect_refusal(shared, Errc::corrupt);
}

TEST(VhdxCompaction, LeavesAnImageQemuFindsNoFaultIn) {
  REQUIRE_QEMU();
  const test::TempDir dir;
  MUST_RUN(dir,
           "qemu-img create -f vhdx -o block_size=1M a.vhdx 16M && "
           "qemu-io -f vhdx -c 'write -P 1 0 8M' -c 'write -P 2 9M 5M' a.vhdx");
  const std::string path = dir / "a.vhdx";
  {
    const auto file = *PosixFile::open(path, Access::write);
    const auto freed = [&](uint64_t index) {
      const uint64_t bat = 2 * MiB + 8 * index;
      return file->write(bat, as_bytes_of(le64(2)));
    };
    for (uint64_t i = 0; i < 6; ++i) ASSERT_TRUE(freed(i));
    MUST_RUN(dir, "qemu-img convert -O raw a.vhdx before.raw");
    must_compact(file);
    EXPECT_EQ(file->stat()->size, 4 * MiB + 7 * MiB);
  }
  MUST_RUN(dir, "qemu-img check a.vhdx");
  MUST_RUN(dir, "qemu-img compare -f raw -F vhdx before.raw a.vhdx");
}

}  // namespace
}  // namespace platter::vhdx
