#include "formats/vdi/resize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/checked.h"
#include "tests/formats/vdi/vdi_disk.h"
#include "tests/formats/vdi/vdi_names.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vdi {
namespace {

using test::VdiBuilder;
using testing::ElementsAre;
using testing::HasSubstr;

Result<void> grow(const FilePtr& file, uint64_t size) {
  Epochs epochs;
  const auto image = TRY(test::open_writable_vdi(file, epochs));
  return image->resize(size);
}

// The old disk with zeroes behind it.
std::vector<std::byte> grown(std::vector<std::byte> disk, uint64_t size) {
  disk.resize(size);
  return disk;
}

// A few blocks of 512 bytes, and a map with no room behind it: 128 entries fill up to 1024.
VdiBuilder tight() {
  VdiBuilder b{.block_size = 512, .map = std::vector<uint32_t>(128, kF), .data = {9, 8, 7, 6}};
  b.map[0] = 2;
  b.map[5] = 0;
  b.map[6] = kZ;
  b.map[100] = 3;
  b.map[127] = 1;
  return b;
}

VdiBuilder full() {
  VdiBuilder b{.block_size = 512, .map = std::vector<uint32_t>(128), .data = {}};
  for (uint32_t i = 0; i < 128; ++i) {
    b.map[i] = 127 - i;
    b.data.push_back(static_cast<uint8_t>(i + 1));
  }
  return b;
}

void expect_grows(const VdiBuilder& builder, uint64_t size) {
  const auto file = builder.file();
  const auto before = test::disk_of(file);
  const auto done = grow(file, size);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(test::disk_of(file), grown(before, size));
  const auto report = test::checked(file);
  EXPECT_THAT(report.messages, ElementsAre());
}

TEST(VdiResize, AddsEntriesWhereTheMapHasRoom) {
  const VdiBuilder b{.map = {1, kF, 0}, .data = {9, 8}};
  expect_grows(b, 20 * 4096);
  const auto file = b.file();
  ASSERT_TRUE(grow(file, 20 * 4096));
  EXPECT_EQ(test::word_of(*file, kMapOffset), 512u);
  EXPECT_EQ(test::word_of(*file, kDataOffset), 1024u);
  EXPECT_EQ(test::word_of(*file, kBlocks), 20u);
}

TEST(VdiResize, MovesBlocksOutOfTheWayOfALargerMap) {
  expect_grows(tight(), 512 * 200);
  const auto file = tight().file();
  ASSERT_TRUE(grow(file, 512 * 200));
  // The new map begins behind the old one, in the place of the first two blocks.
  EXPECT_EQ(test::word_of(*file, kMapOffset), 1024u);
  EXPECT_EQ(test::word_of(*file, kDataOffset), 2048u);
  EXPECT_EQ(test::word_of(*file, kCount), 4u);
}

TEST(VdiResize, GrowsAFullDisk) { expect_grows(full(), 512 * 2000); }

TEST(VdiResize, GrowsADiskOfNothing) {
  expect_grows({.block_size = 512, .map = std::vector<uint32_t>(128, kF), .data = {}}, 512 * 1000);
}

TEST(VdiResize, GrowsAgainAndAgain) {
  const auto file = full().file();
  const auto before = test::disk_of(file);
  for (const uint64_t blocks : {129u, 130u, 257u, 1000u, 5000u}) {
    ASSERT_TRUE(grow(file, 512 * blocks));
    EXPECT_EQ(test::disk_of(file), grown(before, 512 * blocks));
    EXPECT_EQ(test::checked(file).corruptions, 0u);
  }
}

TEST(VdiResize, KeepsBlocksWithExtraBytesInFrontOfThem) {
  VdiBuilder b = tight();
  b.block_extra = 64;
  expect_grows(b, 512 * 300);
}

TEST(VdiResize, ClearsWhatALastBlockHasBehindTheDisk) {
  expect_grows({.map = {kF, 0}, .disk_size = 4096 + 512, .data = {9}}, 2 * 4096);
  expect_grows({.map = {kF, 0}, .disk_size = 4096 + 512, .data = {9}}, 5 * 4096);
}

TEST(VdiResize, TakesNothingFromEntriesBehindTheDisk) {
  // The map has an entry more than the disk has blocks.
  const auto file = VdiBuilder{.map = {0, 1}, .disk_size = 4096, .data = {9, 8}}.file();
  ASSERT_TRUE(grow(file, 2 * 4096));
  EXPECT_EQ(test::word_of(*file, kMap + 4), kF);
}

TEST(VdiResize, HidesTheEndOfALongerParent) {
  const auto below = test::open_vdi(VdiBuilder{.map = {0, 1, 2}, .data = {9, 8, 7}}.file());
  ASSERT_TRUE(below);
  const auto file =
      VdiBuilder{.type = 4, .map = {kF}, .parent_uuid = Uuid::random(), .data = {}}.file();
  ASSERT_TRUE(grow(file, 3 * 4096));
  EXPECT_THAT(test::VdiDisk(file, below->get()).firsts(), ElementsAre(9, 0, 0));
}

TEST(VdiResize, LetsTheGrownDiskBeWritten) {
  const auto file = tight().file();
  ASSERT_TRUE(grow(file, 512 * 200));
  auto wanted = test::disk_of(file);
  test::VdiDisk disk(file);
  ASSERT_TRUE(disk.fill({512 * 128, 512 * 72}, 0x55));
  ASSERT_TRUE(disk.writer().close());
  std::fill(wanted.begin() + 512 * 128, wanted.end(), std::byte{0x55});
  EXPECT_EQ(test::disk_of(file), wanted);
}

TEST(VdiResize, ChangesNothingForTheSizeItHas) {
  const auto file = tight().file();
  const auto before = test::bytes_of_file(*file);
  ASSERT_TRUE(grow(file, 512 * 128));
  EXPECT_EQ(test::bytes_of_file(*file), before);
}

void expect_refused(const VdiBuilder& builder, uint64_t size, Errc code, const std::string& text) {
  const auto file = builder.file();
  const auto before = test::bytes_of_file(*file);
  const auto done = grow(file, size);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), code);
  EXPECT_THAT(done.error().message(), HasSubstr(text));
  EXPECT_EQ(test::bytes_of_file(*file), before);
}

TEST(VdiResize, RefusesWhatCannotBe) {
  expect_refused(tight(), 512, Errc::unsupported, "can only grow");
  expect_refused({.type = 2, .map = {0}, .data = {1}}, 8192, Errc::unsupported, "static");
  expect_refused(tight(), kMaxOffset, Errc::invalid, "not possible");
  expect_refused(tight(), uint64_t{1} << 50, Errc::invalid, "block map would be too large");
  expect_refused({.map = {0, 0}, .data = {1}}, 16384, Errc::corrupt, "repair it");
}

// All entries but two have a block; there is less room behind them than a larger map pushes out.
VdiBuilder nearly_full() {
  VdiBuilder b = full();
  b.map[3] = kF;
  b.map[70] = kZ;
  // The blocks 124 and 57 were theirs.
  for (uint32_t& entry : b.map) {
    if (entry < kZ && entry > 57) entry -= entry > 124 ? 2 : 1;
  }
  b.data.resize(126);
  return b;
}

TEST(VdiResize, GrowsADiskThatIsNearlyFull) { expect_grows(nearly_full(), 512 * 2000); }

// The larger map takes the place of more blocks than the disk had.
VdiBuilder small() { return {.block_size = 512, .map = {1, kF, 0}, .data = {9, 8}}; }

TEST(VdiResize, GrowsASmallDiskByMuch) { expect_grows(small(), 512 * 5000); }

// What other programs do: an entry without a block gets the number that the header counts.
void append_by_the_header(File& file) {
  const uint32_t map = test::word_of(file, kMapOffset), data = test::word_of(file, kDataOffset);
  uint32_t count = test::word_of(file, kCount);
  for (uint32_t i = 0; i < test::word_of(file, kBlocks); ++i) {
    if (test::word_of(file, map + 4 * i) < kZ) continue;
    const std::vector<std::byte> block(512, std::byte{0x77});
    ASSERT_TRUE(file.write(data + 512 * uint64_t{count}, block));
    ASSERT_TRUE(file.write(map + 4 * i, as_bytes_of(le32(count++))));
  }
}

// The same disk with 0x77 where there were no blocks.
std::vector<std::byte> appended(std::vector<std::byte> disk, const VdiBuilder& builder) {
  for (size_t i = 0; i < disk.size() / 512; ++i) {
    if (i < builder.map.size() && builder.map[i] < kZ) continue;
    std::fill_n(disk.begin() + static_cast<long>(512 * i), 512, std::byte{0x77});
  }
  return disk;
}

// Power is lost before every call of a resize, and another program fills the disk afterwards.
TEST(VdiResize, LeavesNothingThatOtherProgramsOverwriteWhenItIsCutShort) {
  for (const VdiBuilder& builder : {tight(), full(), nearly_full(), small()}) {
    std::mt19937_64 random(5);
    const auto before = test::disk_of(builder.file());
    const auto crashing = std::make_shared<test::CrashFile>(*builder.file());
    const auto look = [&](test::Call call) -> Result<void> {
      if (call == test::Call::read) return {};
      for (int i = 0; i < 10; ++i) {
        const auto after = crashing->crash(random);
        const uint64_t size = test::disk_of(after).size();
        append_by_the_header(*after);
        EXPECT_EQ(test::disk_of(after), appended(grown(before, size), builder));
      }
      return {};
    };
    ASSERT_TRUE(grow(std::make_shared<test::WrappedFile>(crashing, look), 512 * 2000));
  }
}

TEST(VdiResize, LetsTheOpenDiskGoOnWithItsBlocksAtTheirNewPlaces) {
  for (const VdiBuilder& builder : {tight(), full()}) {
    const auto file = builder.file();
    auto wanted = test::disk_of(file);
    {
      test::VdiDisk disk(file);
      for (const uint64_t blocks : {129u, 200u, 1000u, 5000u}) {
        ASSERT_TRUE(disk.fill({512 * 5, 512}, 0x33));  // its table is in memory, and changed
        std::fill_n(wanted.begin() + 512 * 5, 512, std::byte{0x33});
        ASSERT_TRUE(disk.writer().grow(512 * blocks));
        wanted.resize(512 * blocks);
        ASSERT_EQ(disk.all(), wanted);
        ASSERT_TRUE(disk.fill({wanted.size() - 700, 700}, 0x44));
        std::fill(wanted.end() - 700, wanted.end(), std::byte{0x44});
        ASSERT_EQ(disk.all(), wanted);
      }
      ASSERT_TRUE(disk.writer().close());
    }
    EXPECT_EQ(test::disk_of(file), wanted);
    EXPECT_EQ(test::checked(file).corruptions, 0u);
  }
}

TEST(VdiResize, SaysWhatTheImageIsNow) {
  const auto file = tight().file();
  Epochs epochs;
  const auto image = test::open_writable_vdi(file, epochs);
  ASSERT_TRUE(image);
  ASSERT_TRUE((*image)->resize(512 * 200));
  EXPECT_EQ((*image)->size(), 512 * 200u);
  const auto& details = (*image)->info().details;
  EXPECT_THAT(details, testing::Contains(Detail{"blocks", uint64_t{200}}));
  EXPECT_THAT(details, testing::Contains(Detail{"data_offset", uint64_t{2048}}));
}

// The disk ends inside a block that only the parent has, and the parent goes on.
TEST(VdiResize, ShowsNothingOfALongerParentWhereALiveDiskEnded) {
  const auto below = test::open_vdi(VdiBuilder{.map = {0, 1}, .data = {9, 0}}.file());
  ASSERT_TRUE(below);
  for (const uint64_t size : {1024u, 4096u + 512u}) {
    const VdiBuilder child{.type = 4,
                           .map = std::vector<uint32_t>(div_up(size, 4096), kF),
                           .disk_size = size,
                           .parent_uuid = Uuid::random(),
                           .data = {}};
    test::VdiDisk disk(child.file(), below->get());
    const auto wanted = grown(disk.all(), 8192);
    ASSERT_TRUE(disk.writer().grow(8192));
    EXPECT_EQ(disk.all(), wanted);
  }
}

// Power is lost before every call of a resize: the disk has its old size or the new one, and its
// contents in both.
void expect_old_or_new(const VdiBuilder& builder, uint64_t size) {
  std::mt19937_64 random(7);
  const auto before = test::disk_of(builder.file());
  const auto crashing = std::make_shared<test::CrashFile>();
  ASSERT_TRUE(crashing->write(0, builder.build()));
  ASSERT_TRUE(crashing->sync());
  const auto look = [&](test::Call call) -> Result<void> {
    if (call == test::Call::read) return {};
    for (int i = 0; i < 10; ++i) {
      const auto after = crashing->crash(random);
      const auto disk = test::disk_of(after);
      EXPECT_EQ(disk, grown(before, disk.size() == size ? size : before.size()));
      EXPECT_EQ(test::checked(after).corruptions, 0u);
    }
    return {};
  };
  ASSERT_TRUE(grow(std::make_shared<test::WrappedFile>(crashing, look), size));
  EXPECT_EQ(crashing->unsynced(), 0u);
  EXPECT_EQ(test::disk_of(crashing->crash(random)), grown(before, size));
}

TEST(VdiResize, LeavesTheOldDiskOrTheNewOneWhenItIsCutShort) {
  expect_old_or_new({.map = {kF, 0}, .disk_size = 4096 + 512, .data = {9}}, 5 * 4096);
  expect_old_or_new(tight(), 512 * 200);
  expect_old_or_new(full(), 512 * 300);
  expect_old_or_new(nearly_full(), 512 * 2000);
  expect_old_or_new(small(), 512 * 5000);
}

// The same, and it is Platter that fills the disk: again with power lost at every call.
TEST(VdiResize, CanBeWrittenAfterItIsCutShort) {
  const VdiBuilder builder = nearly_full();
  const auto before = test::disk_of(builder.file());
  std::mt19937_64 random(6);
  for (uint64_t n = 1;; ++n) {
    const auto crashing = std::make_shared<test::CrashFile>(*builder.file());
    test::FailAt fail(n, EIO);
    const auto done = grow(std::make_shared<test::WrappedFile>(crashing, fail.hook()), 512 * 2000);
    if (done) break;
    const auto file = std::make_shared<test::CrashFile>(*crashing->crash(random));
    const uint64_t size = test::disk_of(file).size();
    const auto look = [&](test::Call call) -> Result<void> {
      if (call == test::Call::read) return {};
      EXPECT_EQ(test::checked(file->crash(random)).corruptions, 0u);
      return {};
    };
    test::VdiDisk disk(std::make_shared<test::WrappedFile>(file, look));
    ASSERT_TRUE(disk.fill({512 * 3, 512}, 0x77));
    ASSERT_TRUE(disk.writer().flush());
    ASSERT_TRUE(disk.fill({512 * 70, 512}, 0x77));
    ASSERT_TRUE(disk.writer().close());
    const auto full_now = appended(before, builder);
    EXPECT_EQ(test::disk_of(file), grown(full_now, size)) << "call " << n;
  }
}

// Each sync of a resize, left out, is noticed.
TEST(VdiResize, TheSearchNoticesWhenASyncIsMissing) {
  for (unsigned which = 0; which < 4; ++which) {
    std::mt19937_64 random(which);
    const auto before = test::disk_of(full().file());
    bool noticed = false;
    for (int round = 0; round < 200 && !noticed; ++round) {
      const auto crashing = std::make_shared<test::CrashFile>();
      ASSERT_TRUE(crashing->write(0, full().build()));
      ASSERT_TRUE(crashing->sync());
      const auto look = [&](test::Call call) -> Result<void> {
        if (call == test::Call::read || noticed) return {};
        const auto after = crashing->crash(random);
        const auto disk = test::disk_of(after);
        noticed = disk != grown(before, disk.size() == 512 * 300 ? 512 * 300 : before.size()) ||
                  test::checked(after).corruptions != 0;
        return {};
      };
      const auto wrapped = std::make_shared<test::WrappedFile>(
          std::make_shared<test::SkipSync>(crashing, 100, which), look);
      ASSERT_TRUE(grow(wrapped, 512 * 300));
      noticed = noticed || crashing->unsynced() != 0;
    }
    EXPECT_TRUE(noticed) << "sync " << which;
  }
}

}  // namespace
}  // namespace platter::vdi
