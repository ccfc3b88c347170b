#include "formats/qcow/create.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/qcow/parse.h"
#include "tests/formats/qcow/image_builder.h"

namespace platter::qcow {
namespace {

using test::word_of;
using testing::HasSubstr;

Result<ImageWriterPtr> create(FilePtr file, uint64_t size, const Options& options = {},
                              std::optional<ParentLink> parent = std::nullopt) {
  return find_format("qcow")->create(
      {.file = std::move(file), .size = size, .options = options, .parent = std::move(parent)});
}

std::vector<std::byte> filled(size_t length, int value) {
  return std::vector<std::byte>(length, static_cast<std::byte>(value));
}

TEST(QcowCreate, LaysABaseOutAsQemuDoes) {
  const auto file = std::make_shared<MemoryFile>("new.qcow");
  auto writer = create(file, 5 * MiB);
  ASSERT_TRUE(writer) << writer.error().message();
  EXPECT_EQ((*writer)->block_size(), 4096u);
  ASSERT_TRUE((*writer)->finish());
  EXPECT_EQ(word_of(*file, 24), 5 * MiB);
  EXPECT_EQ(word_of(*file, 32) >> 48, 0x0c09u);
  EXPECT_EQ(word_of(*file, 40), 48u);
}

TEST(QcowCreate, LaysAChildOutAsQemuDoes) {
  const auto file = std::make_shared<MemoryFile>("new.qcow");
  auto writer = create(file, MiB, {}, ParentLink{.reference = "src.raw", .format = "raw"});
  ASSERT_TRUE(writer) << writer.error().message();
  ASSERT_TRUE((*writer)->finish());
  EXPECT_EQ(word_of(*file, 8), 48u);
  EXPECT_EQ(word_of(*file, 16), uint64_t{7} << 32);
  EXPECT_EQ(word_of(*file, 32) >> 48, 0x090cu);
  EXPECT_EQ(word_of(*file, 40), 56u);
  const auto image = test::open_qcow(file);
  ASSERT_TRUE(image);
  EXPECT_EQ((*image)->info().parent->reference, "src.raw");
}

TEST(QcowCreate, WritesDataFrontToBackAcrossTables) {
  for (const char* cluster_size : {"512", "4k", "64k"}) {
    const auto file = std::make_shared<MemoryFile>("new.qcow");
    auto writer = create(file, 9 * MiB + 512, {{"cluster_size", cluster_size}});
    ASSERT_TRUE(writer) << writer.error().message();
    ASSERT_TRUE((*writer)->write(64 * KiB, filled(3 * MiB, 1)));
    ASSERT_TRUE((*writer)->write(9 * MiB, filled(512, 2)));
    ASSERT_TRUE((*writer)->finish());
    const test::Disk disk(file);
    EXPECT_EQ(disk.byte_at(64 * KiB - 1), 0);
    EXPECT_EQ(disk.byte_at(64 * KiB), 1);
    EXPECT_EQ(disk.byte_at(3 * MiB + 64 * KiB - 1), 1);
    EXPECT_EQ(disk.byte_at(3 * MiB + 64 * KiB), 0);
    EXPECT_EQ(disk.byte_at(9 * MiB + 511), 2);
    const auto report = test::checked(file);
    EXPECT_EQ(report.corruptions + report.leaks, 0u);
  }
}

TEST(QcowCreate, IsNoImageUntilItIsFinished) {
  const auto file = std::make_shared<MemoryFile>("new.qcow");
  auto writer = create(file, MiB);
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->write(0, filled(4096, 1)));
  EXPECT_FALSE(parse_header(*file));
}

TEST(QcowCreate, TheLargestDiskCostsNothingAndOneMoreSectorIsRefused) {
  const uint64_t most = kMaxL1Entries * 2 * MiB;
  const auto file = std::make_shared<MemoryFile>("new.qcow");
  auto writer = create(file, most);
  ASSERT_TRUE(writer) << writer.error().message();
  ASSERT_TRUE((*writer)->finish());
  EXPECT_TRUE(test::open_qcow(file));
  const auto more = create(std::make_shared<MemoryFile>("new.qcow"), most + 512);
  ASSERT_FALSE(more);
  EXPECT_THAT(more.error().message(), HasSubstr("511 TiB"));
}

TEST(QcowCreate, RefusesWhatCannotBe) {
  const auto error = [](uint64_t size, const Options& options,
                        std::optional<ParentLink> parent = std::nullopt) {
    const auto made = create(std::make_shared<MemoryFile>("new"), size, options, std::move(parent));
    return made ? "" : made.error().message();
  };
  EXPECT_THAT(error(0, {}), HasSubstr("0 bytes"));
  for (const char* size : {"256", "128k", "3k", "x"}) {
    EXPECT_THAT(error(MiB, {{"cluster_size", size}}), HasSubstr("power of two"));
  }
  EXPECT_THAT(error(MiB, {{"backing_fmt", "raw"}}), HasSubstr("no parent"));
  EXPECT_THAT(error(MiB, {{"backing_fmt", "raw"}}, ParentLink{.reference = "p", .format = "vdi"}),
              HasSubstr("opened as vdi"));
  EXPECT_THAT(error(MiB, {}, ParentLink{.reference = std::string(1024, 'p')}),
              HasSubstr("at most 1023"));
}

}  // namespace
}  // namespace platter::qcow
