// What a write, a zero and a discard do to the file.
#include "formats/vhdx/changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/vhdx/headers.h"
#include "tests/formats/vhdx/vhdx_disk.h"
#include "tests/support/crash_file.h"
#include "tests/support/hand_made_image.h"
#include "tests/support/wrapped_file.h"

namespace platter::vhdx {
namespace {

using test::vhdx_entry;
using test::VhdxBuilder;
using test::VhdxDisk;
using testing::HasSubstr;

VhdxBuilder a_child() { return {.parameters = 2, .locator = {{"relative_path", ".\\base.vhdx"}}}; }

// A parent of 4 MiB full of 0xee.
class FullParent {
 public:
  FullParent() {
    const std::vector<std::byte> bytes(4 * MiB, std::byte{0xee});
    image_.data(0, bytes, 0);
  }
  const Image* image() const { return &image_; }

 private:
  test::HandMadeImage image_{"parent", 4 * MiB};
};

TEST(VhdxChanges, ChangeBothWriteGuidsBeforeTheFirstByte) {
  const VhdxBuilder builder;
  const auto file = builder.file();
  VhdxDisk disk(file);
  EXPECT_EQ(read_headers(*file)->current.data_write, builder.data_write);
  ASSERT_TRUE(disk.fill({0, 1}, 1));
  const Headers headers = *read_headers(*file);
  EXPECT_NE(headers.current.data_write, builder.data_write);
  EXPECT_NE(headers.current.file_write, builder.file_write);
  EXPECT_EQ(headers.current.sequence, 4u);
}

// Were the second one not durable, it could be torn together with the next, which goes over the
// first.
TEST(VhdxChanges, LeaveBothHeadersDurable) {
  const auto start = VhdxBuilder{}.file();
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<test::CrashFile>(*start);
    Epochs epochs;
    const auto image = test::open_writable_vhdx(file, epochs);
    ASSERT_TRUE(image && (*image)->begin_writing());
    const Headers after = *read_headers(*file->crash(random));
    EXPECT_EQ(after.current.sequence, 4u);
    EXPECT_TRUE(after.good[0] && after.good[1]);
  }
}

TEST(VhdxChanges, PutANewBlockAtTheEndOfTheFile) {
  VhdxBuilder builder;
  builder.put_block(2, 0, 0x10);
  const auto file = builder.file();
  VhdxDisk disk(file);
  ASSERT_TRUE(disk.fill({100, 50}, 0x77));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(vhdx_entry(*file, 0), (kData + MiB) | 6);
  EXPECT_EQ(file->stat()->size, kData + 2 * MiB);
  // Of the block only what was written takes space.
  EXPECT_LE(file->stat()->allocated, MiB + 300 * KiB);
  EXPECT_EQ(disk.byte_at(99), 0);
  EXPECT_EQ(disk.byte_at(100), 0x77);
  EXPECT_EQ(disk.byte_at(150), 0);
}

TEST(VhdxChanges, RoundAFileOfAnOddLengthUp) {
  VhdxBuilder builder;
  builder.put_block(0, 0, 0x10);
  builder.file_size = kData + MiB - 1000;
  const auto file = builder.file();
  VhdxDisk disk(file);
  ASSERT_TRUE(disk.fill({MiB, 1}, 0x77));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(vhdx_entry(*file, 1), (kData + MiB) | 6);
  EXPECT_EQ(disk.byte_at(MiB - 1), 0);
  ASSERT_TRUE(disk.fill({MiB - 1, 1}, 0x78));
  EXPECT_EQ(disk.byte_at(MiB - 1), 0x78);
}

TEST(VhdxChanges, UseTheGapsThatOthersLeft) {
  VhdxBuilder builder;
  builder.put_block(0, 0, 0x10);
  builder.put_block(1, 2, 0x20);
  builder.data.push_back({kData + MiB, MiB, 0x66});  // nobody's
  const auto file = builder.file();
  VhdxDisk disk(file);
  ASSERT_TRUE(disk.fill({2 * MiB + 5, 1}, 0x77));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(vhdx_entry(*file, 2), (kData + MiB) | 6);
  EXPECT_EQ(disk.byte_at(2 * MiB + 4), 0);
  EXPECT_EQ(disk.byte_at(2 * MiB + 5), 0x77);
  EXPECT_EQ(disk.byte_at(3 * MiB - 1), 0);
}

TEST(VhdxChanges, UseThePlaceThatWasKeptForABlock) {
  for (const uint64_t state : {1U, 2U, 3U, 5U}) {
    VhdxBuilder builder;
    builder.put_block(1, 0, 0x10, state);
    const auto file = builder.file();
    VhdxDisk disk(file);
    ASSERT_TRUE(disk.fill({MiB + 5, 1}, 0x77));
    ASSERT_TRUE(disk.writer().close());
    EXPECT_EQ(vhdx_entry(*file, 1), kData | 6) << state;
    EXPECT_EQ(file->stat()->size, kData + MiB);
    EXPECT_EQ(disk.byte_at(MiB + 4), 0);
    EXPECT_EQ(disk.byte_at(2 * MiB - 1), 0);
  }
}

TEST(VhdxChanges, OfAChildSetTheBitsOfTheSectorsWritten) {
  const FullParent parent;
  const auto file = a_child().file();
  VhdxDisk disk(file, parent.image());
  ASSERT_TRUE(disk.fill({MiB + 700, 10}, 0x77));
  ASSERT_TRUE(disk.writer().close());
  const uint64_t bitmap = vhdx_entry(*file, 4096);
  EXPECT_EQ(bitmap, kData | 6);
  EXPECT_EQ(vhdx_entry(*file, 1), (kData + MiB) | 7);
  EXPECT_EQ(test::vhdx_word(*file, kData + 256), 2u);
  EXPECT_EQ(disk.byte_at(MiB + 511), 0xee);
  EXPECT_EQ(disk.byte_at(MiB + 699), 0xee);
  EXPECT_EQ(disk.byte_at(MiB + 700), 0x77);
  EXPECT_EQ(disk.byte_at(MiB + 710), 0xee);
  EXPECT_EQ(disk.byte_at(MiB + 1024), 0xee);
  EXPECT_EQ(test::vhdx_checked(file).corruptions, 0u);
}

TEST(VhdxChanges, OfAChildMakeABlockItsOwnOnceAllOfItIs) {
  const FullParent parent;
  const auto file = a_child().file();
  VhdxDisk disk(file, parent.image());
  ASSERT_TRUE(disk.fill({0, MiB / 2}, 0x11));
  ASSERT_TRUE(disk.fill({MiB / 2 + 512, MiB / 2 - 512}, 0x22));
  ASSERT_TRUE(disk.writer().flush());
  EXPECT_EQ(vhdx_entry(*file, 0) & 7, 7u);
  ASSERT_TRUE(disk.fill({MiB / 2, 1}, 0x33));
  ASSERT_TRUE(disk.writer().flush());
  EXPECT_EQ(vhdx_entry(*file, 0) & 7, 6u);
  // Written whole, it needs no bitmap at all.
  ASSERT_TRUE(disk.fill({2 * MiB, MiB}, 0x44));
  ASSERT_TRUE(disk.writer().flush());
  EXPECT_EQ(vhdx_entry(*file, 2) & 7, 6u);
}

TEST(VhdxChanges, ForgetTheBitsOfAnEarlierLifeOfTheBlock) {
  const FullParent parent;
  VhdxBuilder builder = a_child();
  builder.bat[4096] = kData | 6;
  builder.bytes[kData] = std::vector<std::byte>(256, std::byte{0xff});
  const auto file = builder.file();
  VhdxDisk disk(file, parent.image());
  ASSERT_TRUE(disk.fill({0, 1}, 0x77));
  EXPECT_EQ(disk.byte_at(0), 0x77);
  EXPECT_EQ(disk.byte_at(1), 0xee);
  EXPECT_EQ(disk.byte_at(512), 0xee);
  EXPECT_EQ(disk.byte_at(MiB - 1), 0xee);
}

TEST(VhdxChanges, NeverLetTheParentThroughAZeroOrADiscard) {
  const FullParent parent;
  VhdxBuilder builder = a_child();
  builder.put_block(1, 0, 0x10, 7);
  builder.bat[4096] = (kData + MiB) | 6;
  builder.bytes[kData + MiB + 256] = {std::byte{0xff}};
  builder.put_block(2, 2, 0x20);
  const auto file = builder.file();
  VhdxDisk disk(file, parent.image());
  ASSERT_TRUE(disk.writer().discard({0, 3 * MiB}));
  ASSERT_TRUE(disk.writer().zero({3 * MiB, 1000}, File::Zero::keep_space));
  ASSERT_TRUE(disk.writer().close());
  for (uint64_t block = 0; block < 3; ++block) EXPECT_EQ(vhdx_entry(*file, block), 2u) << block;
  const auto bytes = test::vhdx_contents(file, parent.image());
  ASSERT_EQ(bytes.size(), 4 * MiB);
  for (uint64_t at = 0; at < 3 * MiB + 1000; ++at) ASSERT_EQ(bytes[at], std::byte{0}) << at;
  EXPECT_EQ(bytes[3 * MiB + 1000], std::byte{0xee});
}

TEST(VhdxChanges, GiveADiscardedBlocksSpaceBackAndUseItAgain) {
  VhdxBuilder builder;
  builder.put_block(0, 0, 0x10);
  builder.put_block(1, 1, 0x20);
  const auto file = builder.file();
  VhdxDisk disk(file);
  ASSERT_TRUE(disk.writer().discard({0, MiB}));
  // Not before the drop is durable.
  ASSERT_TRUE(disk.fill({2 * MiB, 1}, 0x33));
  ASSERT_TRUE(disk.writer().flush());
  EXPECT_EQ(vhdx_entry(*file, 2), (kData + 2 * MiB) | 6);
  ASSERT_TRUE(disk.fill({3 * MiB + 7, 1}, 0x44));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(vhdx_entry(*file, 3), kData | 6);
  EXPECT_EQ(disk.byte_at(3 * MiB), 0);
  EXPECT_EQ(disk.byte_at(0), 0);
  EXPECT_EQ(test::vhdx_checked(file).leaks, 0u);
}

TEST(VhdxChanges, KeepThePlacesOfAFixedDisk) {
  VhdxBuilder builder{.parameters = 1};
  for (uint64_t i = 0; i < 4; ++i) builder.put_block(i, i, 0x10);
  const auto made = builder.file();
  const auto file = std::make_shared<test::CrashFile>(*made);
  VhdxDisk disk(file);
  ASSERT_TRUE(disk.writer().discard({0, 4 * MiB}));
  ASSERT_TRUE(disk.writer().close());
  for (uint64_t i = 0; i < 4; ++i) EXPECT_EQ(vhdx_entry(*file, i), (kData + i * MiB) | 6);
  EXPECT_EQ(disk.byte_at(MiB), 0);
}

TEST(VhdxChanges, LeaveTheLogEmptyAfterEachFlush) {
  const auto file = VhdxBuilder{}.file();
  VhdxDisk disk(file);
  for (uint64_t block = 0; block < 3; ++block) {
    ASSERT_TRUE(disk.fill({block * MiB, 1}, 0x11));
    ASSERT_TRUE(disk.writer().flush());
    EXPECT_TRUE(read_headers(*file)->current.log.is_nil());
  }
}

// In the order of the steps in journal.cpp.
TEST(VhdxChanges, NameALogOnlyOnceItsEntryIsThere) {
  const auto memory = std::make_shared<test::CrashFile>(*VhdxBuilder{}.file());
  std::mt19937_64 random(1);
  unsigned with_log = 0;
  const auto look = [&](test::Call call) -> Result<void> {
    if (call == test::Call::read) return {};
    for (int i = 0; i < 4; ++i) {
      const auto after = memory->crash(random);
      EXPECT_TRUE(test::open_vhdx(after));
      const auto headers = read_headers(*after);
      EXPECT_TRUE(headers);
      if (headers && !headers->current.log.is_nil()) ++with_log;
    }
    return {};
  };
  VhdxDisk disk(std::make_shared<test::WrappedFile>(memory, look));
  ASSERT_TRUE(disk.fill({0, 100}, 0x11));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_GT(with_log, 0u);
}

// 300 chunks of the smallest blocks need more pages than one change of the journal has.
TEST(VhdxChanges, GoInSeveralStepsWhenTheyAreTooManyForOne) {
  const uint64_t chunk = 4096 * MiB;
  VhdxBuilder builder{.parameters = 2, .disk_size = 300 * chunk};
  builder.locator = {{"relative_path", "x"}};
  builder.regions[1].length = 10 << 20;
  builder.file_size = VhdxBuilder::kBat + 10 * MiB;
  const auto file = builder.file();
  const auto value_of = [](uint64_t i) { return static_cast<std::byte>(1 + i % 200); };
  {
    Epochs epochs;
    const auto image = test::open_writable_vhdx(file, epochs);
    ASSERT_TRUE(image && (*image)->begin_writing());
    for (uint64_t i = 0; i < 300; ++i) {
      const auto r = (*image)->reserve({i * chunk + 512 * i, 512});
      ASSERT_TRUE(r && r->file->write(r->host, std::vector<std::byte>(512, value_of(i))));
      ASSERT_TRUE((*image)->publish(*r));
    }
    EXPECT_TRUE((*image)->wants_flush());
    ASSERT_TRUE((*image)->flush(true));
  }
  EXPECT_EQ(test::vhdx_checked(file).corruptions, 0u);
  VhdxDisk disk(file);
  for (uint64_t i = 0; i < 300; ++i) {
    ASSERT_EQ(disk.byte_at(i * chunk + 512 * i), std::to_integer<int>(value_of(i))) << i;
    ASSERT_EQ(disk.byte_at(i * chunk + 512 * i + 512), 0) << i;
  }
}

TEST(VhdxChanges, AreRefusedWhenTwoBlocksShareAPlaceOrOneLiesOutside) {
  const auto why = [](const VhdxBuilder& builder) -> std::string {
    VhdxDisk disk(builder.file());
    const Result<void> done = disk.fill({3 * MiB, 1}, 1);
    return done ? "" : done.error().message();
  };
  VhdxBuilder builder;
  builder.put_block(0, 0, 0x10);
  EXPECT_EQ(why(builder), "");
  builder.bat[1] = kData | 6;
  EXPECT_THAT(why(builder), HasSubstr("BAT: block 1 is where another one is"));
  builder.bat[1] = (kData + 5 * MiB) | 2;
  EXPECT_THAT(why(builder), HasSubstr("BAT: block 1 points past the end of the file"));
  builder.bat[1] = VhdxBuilder::kBat | 6;
  EXPECT_THAT(why(builder), HasSubstr("the image's own tables"));
  builder.bat[1] = 4;
  EXPECT_THAT(why(builder), HasSubstr("block 1 is in state 4"));
}

TEST(VhdxChanges, NeedALog) {
  Epochs epochs;
  const auto image = test::open_writable_vhdx(VhdxBuilder{.log_length = 0}.file(), epochs);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code(), Errc::unsupported);
}

TEST(VhdxChanges, ReplayALogOnDiskFirst) {
  VhdxBuilder builder{.log_guid = Uuid::random()};
  builder.data.push_back({kData, MiB, 0x10});
  std::vector<std::byte> page(4096);
  store(page, 0, le64(kData | 6));
  builder.log.push_back({.pages = {{VhdxBuilder::kBat, page}}});
  const auto file = builder.file();
  {
    // Who only asks changes nothing.
    Epochs epochs;
    ASSERT_TRUE(test::open_writable_vhdx(file, epochs, true));
    EXPECT_FALSE(read_headers(*file)->current.log.is_nil());
  }
  VhdxDisk disk(file);
  EXPECT_EQ(vhdx_entry(*file, 0), kData | 6);
  EXPECT_TRUE(read_headers(*file)->current.log.is_nil());
  EXPECT_EQ(disk.byte_at(0), 0x10);
}

}  // namespace
}  // namespace platter::vhdx
