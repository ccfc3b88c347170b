#include "formats/vhd/create.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/vhd/geometry.h"
#include "lib/image/registry.h"
#include "tests/formats/vhd/vhd_disk.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vhd {
namespace {

using test::VhdBuilder;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Result<ImageWriterPtr> begin(const FilePtr& file, uint64_t size, const Options& options = {},
                             const std::optional<ParentLink>& parent = std::nullopt) {
  return find_format("vhd")->create(
      {.file = file, .size = size, .options = options, .parent = parent});
}

FilePtr made(uint64_t size, const Options& options = {},
             const std::optional<ParentLink>& parent = std::nullopt) {
  auto file = std::make_shared<MemoryFile>("new.vhd");
  const auto writer = begin(file, size, options, parent);
  EXPECT_TRUE(writer) << writer.error().message();
  const Result<void> done = writer ? (*writer)->finish() : Result<void>(writer.error());
  EXPECT_TRUE(done);
  return file;
}

std::string refusal(uint64_t size, const Options& options = {},
                    const std::optional<ParentLink>& parent = std::nullopt) {
  const auto writer = begin(std::make_shared<MemoryFile>("new.vhd"), size, options, parent);
  if (writer) return "accepted";
  EXPECT_EQ(writer.error().code(), Errc::invalid);
  return writer.error().message();
}

TEST(VhdCreate, IsExactlyAsLargeAsAsked) {
  for (const uint64_t size : {uint64_t{1}, uint64_t{512}, 5 * MiB, 5 * MiB + 512, 40 * GiB - 512,
                              uint64_t{0xff000000} * 512}) {
    for (const char* fixed : {"off", "on"}) {
      const auto file = made(size, {{"fixed", fixed}});
      const auto image = test::open_vhd(file, true);
      ASSERT_TRUE(image);
      EXPECT_EQ((*image)->size(), align_up(size, 512));
      EXPECT_THAT((*image)->info().warnings, IsEmpty());
      EXPECT_EQ((*image)->info().variant, std::string(fixed) == "on" ? "fixed" : "dynamic");
      EXPECT_THAT(test::check_vhd(file).messages, IsEmpty());
    }
  }
}

TEST(VhdCreate, AnEmptyOneIsItsHeadersAndItsTable) {
  EXPECT_EQ(made(5 * MiB)->stat()->size, 1536u + 512 + 512);
  EXPECT_EQ(made(5 * MiB, {{"block_size", "512"}})->stat()->size, 1536u + 4 * 10240 + 512);
}

TEST(VhdCreate, PutsBlocksWhereTheyComeAndLeavesOutTheOthers) {
  const auto file = std::make_shared<MemoryFile>("new.vhd");
  auto writer = begin(file, 5 * 4096 + 512, {{"block_size", "4k"}});
  ASSERT_TRUE(writer);
  EXPECT_EQ((*writer)->block_size(), 4096u);
  ASSERT_TRUE((*writer)->write(4096, std::vector<std::byte>(8192, std::byte{1})));
  ASSERT_TRUE((*writer)->zero({3 * 4096, 4096}));
  ASSERT_TRUE((*writer)->write(5 * 4096, std::vector<std::byte>(512, std::byte{2})));
  ASSERT_TRUE((*writer)->finish());
  EXPECT_THAT(test::firsts_of_vhd(file, 4096), ElementsAre(0, 1, 1, 0, 0, 2));
  EXPECT_EQ(file->stat()->size, 2048u + 3 * 4608 + 512);
  EXPECT_EQ(test::vhd_word(*file, 2048), 0xffffffffu);  // a bitmap
  EXPECT_THAT(test::check_vhd(file).messages, IsEmpty());
}

TEST(VhdCreate, TakesABlockInPieces) {
  const auto file = std::make_shared<MemoryFile>("new.vhd");
  auto writer = begin(file, 4 * MiB);
  ASSERT_TRUE(writer);
  for (uint64_t at = MiB; at < 4 * MiB; at += MiB) {
    const auto value = static_cast<std::byte>(at / MiB);
    ASSERT_TRUE((*writer)->write(at, std::vector<std::byte>(MiB, value)));
  }
  ASSERT_TRUE((*writer)->finish());
  EXPECT_THAT(test::firsts_of_vhd(file, MiB), ElementsAre(0, 1, 2, 3));
}

TEST(VhdCreate, RefusesWhatIsNotNext) {
  for (const char* fixed : {"off", "on"}) {
    auto writer =
        begin(std::make_shared<MemoryFile>("x"), 16384, {{"fixed", fixed}, {"block_size", "4k"}});
    ASSERT_TRUE(writer);
    const std::vector<std::byte> data(4096);
    ASSERT_TRUE((*writer)->write(8192, data));
    for (const uint64_t at : {uint64_t{0}, uint64_t{4096}, uint64_t{16384}, ~uint64_t{511}}) {
      EXPECT_FALSE((*writer)->write(at, data)) << at;
    }
  }
}

TEST(VhdCreate, AChildNamesItsParentAndHidesItWithZeroes) {
  const auto below =
      test::open_vhd(VhdBuilder{.blocks = {{.first = 100}, {.first = 110}, {.first = 120}}}
                         .point({0, 1, 2})
                         .file());
  ASSERT_TRUE(below);
  const auto file = std::make_shared<MemoryFile>("new.vhd");
  auto writer = begin(file, 3 * 4096, {{"block_size", "4k"}},
                      ParentLink{.reference = "../disks/base.vhd",
                                 .format = "vhd",
                                 .uuid = (*below)->info().uuid,
                                 .mtime_s = kEpoch + 5});
  ASSERT_TRUE(writer) << writer.error().message();
  ASSERT_TRUE((*writer)->zero({4096, 4096}));
  ASSERT_TRUE((*writer)->write(8192, std::vector<std::byte>(4096, std::byte{9})));
  ASSERT_TRUE((*writer)->finish());
  EXPECT_THAT(test::firsts_of_vhd(file, 4096, below->get()), ElementsAre(100, 0, 9));
  const auto image = test::open_vhd(file);
  ASSERT_TRUE(image);
  const ImageInfo& info = (*image)->info();
  EXPECT_EQ(info.variant, "differencing");
  EXPECT_EQ(info.parent->reference, "../disks/base.vhd");
  EXPECT_THAT(info.parent->other_references, ElementsAre("base.vhd"));
  EXPECT_EQ(info.parent->mtime_s, kEpoch + 5);
  EXPECT_THAT(info.details, Contains(Detail{"parent_locator_1", "W2ru ..\\disks\\base.vhd"}));
  EXPECT_THAT(info.warnings, IsEmpty());
  EXPECT_THAT(test::check_vhd(file).messages, IsEmpty());
}

TEST(VhdCreate, OfAChildsBlockOnlyWhatIsWrittenHidesTheParent) {
  VhdBuilder base{.block_size = MiB, .blocks = {{.first = 100}}};
  const auto below = test::open_vhd(base.point({0}).file());
  ASSERT_TRUE(below);
  const auto file = std::make_shared<MemoryFile>("new.vhd");
  auto writer = begin(file, MiB, {}, ParentLink{.uuid = base.uuid});
  ASSERT_TRUE(writer);
  const uint64_t unit = (*writer)->block_size();
  ASSERT_EQ(unit, 64 * KiB);
  ASSERT_TRUE((*writer)->write(unit, std::vector<std::byte>(unit, std::byte{9})));
  ASSERT_TRUE((*writer)->zero({3 * unit, unit}));
  ASSERT_TRUE((*writer)->finish());
  const auto seen = test::firsts_of_vhd(file, unit, below->get());
  EXPECT_THAT(std::vector<int>(seen.begin(), seen.begin() + 5), ElementsAre(100, 9, 100, 0, 100));
}

TEST(VhdCreate, AChildWithoutAFileNameKnowsTheId) {
  const Uuid parent = Uuid::random();
  const auto image = test::open_vhd(made(4096, {}, ParentLink{.uuid = parent}));
  ASSERT_TRUE(image);
  EXPECT_EQ((*image)->info().parent->uuid, parent);
  EXPECT_EQ((*image)->info().parent->reference, "");
}

TEST(VhdCreate, IsWholeOrNoImageWhenPowerIsLost) {
  for (const char* fixed : {"off", "on"}) {
    for (uint64_t seed = 0; seed < 40; ++seed) {
      std::mt19937_64 random(seed);
      const auto memory = std::make_shared<test::CrashFile>();
      const auto look = [&](test::Call call) -> Result<void> {
        const auto after = memory->crash(random);
        if (call == test::Call::read || !test::open_vhd(after)) return {};
        EXPECT_THAT(test::firsts_of_vhd(after, 4096), ElementsAre(7, 7, 7, 7));
        return {};
      };
      auto writer = begin(std::make_shared<test::WrappedFile>(memory, look), 4 * 4096,
                          {{"fixed", fixed}, {"block_size", "4k"}});
      ASSERT_TRUE(writer);
      ASSERT_TRUE((*writer)->write(0, std::vector<std::byte>(4 * 4096, std::byte{7})));
      ASSERT_TRUE((*writer)->finish());
      EXPECT_THAT(test::firsts_of_vhd(memory->crash(random), 4096), ElementsAre(7, 7, 7, 7));
    }
  }
}

TEST(VhdCreate, RefusesSizesAndOptionsThatCannotBe) {
  EXPECT_THAT(refusal(0), HasSubstr("0 bytes"));
  EXPECT_THAT(refusal(uint64_t{0xff000000} * 512 + 1), HasSubstr("at most 1.99 TiB"));
  EXPECT_THAT(refusal(uint64_t{0xff000000} * 512 + 1, {{"fixed", "on"}}), HasSubstr("at most"));
  // Half of the file would be bitmaps.
  EXPECT_THAT(refusal(uint64_t{0xff000000} * 512, {{"block_size", "512"}}), HasSubstr("at most"));
  for (const char* size : {"0", "256", "3k", "512M", "x"}) {
    EXPECT_THAT(refusal(4096, {{"block_size", size}}), HasSubstr("must be a power of two")) << size;
  }
  EXPECT_THAT(refusal(4096, {{"fixed", "yes"}}), HasSubstr("on or off"));
  EXPECT_THAT(refusal(4096, {{"fixed", "on"}}, ParentLink{.uuid = Uuid::random()}),
              HasSubstr("cannot be fixed"));
  EXPECT_THAT(refusal(4096, {}, ParentLink{.reference = "a"}), HasSubstr("no UUID"));
}

TEST(VhdFormat, GoesByQemusNameToo) { EXPECT_EQ(find_format("vpc"), find_format("vhd")); }

}  // namespace
}  // namespace platter::vhd
