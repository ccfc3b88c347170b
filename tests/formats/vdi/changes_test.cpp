#include "formats/vdi/changes.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/vdi/vdi_disk.h"
#include "tests/formats/vdi/vdi_names.h"
#include "tests/support/wrapped_file.h"

namespace platter::vdi {
namespace {

using test::VdiBuilder;
using test::VdiDisk;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kBlock = 4096;

std::string modification_of(const File& file) {
  std::array<std::byte, 16> bytes{};
  (void)file.read_exact(kModification, bytes);
  return Uuid::from_microsoft(bytes).to_string();
}

TEST(VdiModificationUuid, StaysWhenNothingIsWritten) {
  const auto file = VdiBuilder{.map = {0, kF}, .data = {7}}.file();
  const auto before = test::bytes_of_file(*file);
  ASSERT_TRUE(VdiDisk(file).writer().close());
  EXPECT_EQ(test::bytes_of_file(*file), before);
}

TEST(VdiModificationUuid, ChangesBeforeTheFirstByte) {
  const auto file = VdiBuilder{.map = {0, kF}, .data = {7}}.file();
  const std::string before = modification_of(*file);
  VdiDisk disk(file);
  ASSERT_TRUE(disk.fill({0, 512}, 1));
  EXPECT_NE(modification_of(*file), before);
}

TEST(VdiModificationUuid, IsNewAfterEachFlushOfSomething) {
  const auto file = VdiBuilder{.map = {0, kF}, .data = {7}}.file();
  std::set<std::string> seen{modification_of(*file)};
  VdiDisk disk(file);
  for (const uint64_t at : {0u, 5000u}) {
    ASSERT_TRUE(disk.fill({at, 512}, 1));
    ASSERT_TRUE(disk.writer().flush());
    seen.insert(modification_of(*file));
  }
  EXPECT_EQ(seen.size(), 3u);
  ASSERT_TRUE(disk.writer().flush());
  ASSERT_TRUE(disk.writer().close());
  EXPECT_TRUE(seen.contains(modification_of(*file)));
}

TEST(VdiModificationUuid, StaysWhenAnImageIsRead) {
  const auto file = VdiBuilder{.map = {0, kF}, .data = {7}}.file();
  const auto before = test::bytes_of_file(*file);
  (void)test::disk_of(file);
  EXPECT_EQ(test::bytes_of_file(*file), before);
}

TEST(VdiChanges, DoNotTrustACountThatIsTooSmall) {
  const auto file = VdiBuilder{.map = {1, 0, kF}, .blocks_allocated = 1, .data = {10, 20}}.file();
  VdiDisk disk(file);
  ASSERT_TRUE(disk.fill({2 * kBlock, kBlock}, 30));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_THAT(disk.firsts(), ElementsAre(20, 10, 30));
  EXPECT_EQ(test::word_of(*file, kMap + 8), 2u);
  EXPECT_EQ(test::word_of(*file, kCount), 3u);
}

TEST(VdiChanges, UseLeakedBlocksAgainSoThatEveryDiskCanBeFilled) {
  const auto file = VdiBuilder{.map = {1, kF, kF}, .data = {9, 8, 7}}.file();
  VdiDisk disk(file);
  ASSERT_TRUE(disk.fill({kBlock, 100}, 1));
  ASSERT_TRUE(disk.fill({2 * kBlock, 100}, 2));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_THAT(disk.firsts(), ElementsAre(8, 1, 2));
  EXPECT_EQ(disk.byte_at(kBlock + 100), 0);  // nothing of what had leaked
  EXPECT_EQ(test::word_of(*file, kCount), 3u);
  EXPECT_EQ(test::checked(file).leaks, 0u);
}

TEST(VdiChanges, TakeACountThatRanAheadOfTheBlocksInACrash) {
  const auto file = VdiBuilder{.map = {0, kF, kF}, .blocks_allocated = 3, .data = {9}}.file();
  VdiDisk disk(file);
  ASSERT_TRUE(disk.fill({kBlock, 2 * kBlock}, 1));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_THAT(disk.firsts(), ElementsAre(9, 1, 1));
}

TEST(VdiChanges, CompleteAShortLastBlock) {
  const VdiBuilder b{.map = {0, kF}, .data = {9}, .file_size = 1024 + 512};
  const auto file = b.file();
  VdiDisk disk(file);
  ASSERT_TRUE(disk.fill({2048, 512}, 3));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(disk.byte_at(0), 9);
  EXPECT_EQ(disk.byte_at(1024), 0);
  EXPECT_EQ(disk.byte_at(2048), 3);
  EXPECT_EQ(file->stat()->size, b.data_at() + kBlock);
}

// Bytes given to write() of the file behind it.
class CountingFile final : public File {
 public:
  explicit CountingFile(FilePtr file) : file_(std::move(file)) {}
  const std::string& name() const override { return file_->name(); }
  Result<FileStat> stat() const override { return file_->stat(); }
  Result<void> write(uint64_t at, Bytes data) override {
    written += data.size();
    return file_->write(at, data);
  }
  Result<void> resize(uint64_t size) override {
    if (fixed) return Error(Errc::io, "this file cannot grow");
    return file_->resize(size);
  }
  Result<void> sync() override { return file_->sync(); }
  uint64_t written = 0;
  bool fixed = false;  // as a device is

 private:
  Result<size_t> read_some(uint64_t at, MutableBytes out) const override {
    return file_->read_available(at, out);
  }
  FilePtr file_;
};

TEST(VdiChanges, WriteNoZeroesIntoABlockAtTheEndOfTheFile) {
  const VdiBuilder b{.block_size = MiB, .map = {0, kF, kF}, .data = {9}};
  const auto file = std::make_shared<CountingFile>(b.file());
  VdiDisk disk(file);
  ASSERT_TRUE(disk.fill({MiB + 700 * KiB, 512}, 3));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_LT(file->written, 16 * KiB);
  EXPECT_EQ(file->stat()->size, b.data_at() + 2 * MiB);
  EXPECT_THAT(disk.firsts(), ElementsAre(9, 0, 0));
  EXPECT_EQ(disk.byte_at(MiB + 700 * KiB + 511), 3);
  EXPECT_EQ(disk.byte_at(MiB + 700 * KiB + 512), 0);
}

TEST(VdiChanges, CopyTheParentsBytesIntoABlockAtTheEndOfTheFile) {
  const auto below = test::open_vdi(VdiBuilder{.map = {0, 1}, .data = {9, 8}}.file());
  ASSERT_TRUE(below);
  VdiDisk disk(
      VdiBuilder{.type = 4, .map = {kF, kF}, .parent_uuid = Uuid::random(), .data = {}}.file(),
      below->get());
  ASSERT_TRUE(disk.fill({kBlock + 1024, 512}, 3));
  EXPECT_THAT(disk.firsts(), ElementsAre(9, 8));
  EXPECT_EQ(disk.byte_at(kBlock + 1024), 3);
  EXPECT_EQ(disk.byte_at(2 * kBlock - 1), 8 + 7);
}

TEST(VdiChanges, FillABlockThatTheFileHasAlready) {
  // Two blocks that nobody points at, with bytes in them, and a file that cannot grow.
  const auto file =
      std::make_shared<CountingFile>(VdiBuilder{.map = {0, kF, kF}, .data = {9, 8, 7}}.file());
  file->fixed = true;
  VdiDisk disk(file);
  ASSERT_TRUE(disk.fill({kBlock + 512, 512}, 3));
  ASSERT_TRUE(disk.fill({2 * kBlock + 512, 512}, 4));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_THAT(disk.firsts(), ElementsAre(9, 0, 0));
  EXPECT_EQ(disk.byte_at(2 * kBlock - 1), 0);
}

TEST(VdiChanges, FillABlockBehindAFileThatCannotBeMadeLonger) {
  const auto file = std::make_shared<CountingFile>(VdiBuilder{.map = {0, kF}, .data = {9}}.file());
  file->fixed = true;
  VdiDisk disk(file);
  ASSERT_TRUE(disk.fill({kBlock + 512, 512}, 3));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_GE(file->written, kBlock);
  EXPECT_EQ(disk.byte_at(kBlock + 512), 3);
  EXPECT_EQ(disk.byte_at(2 * kBlock - 1), 0);
}

TEST(VdiChanges, WriteNoByteThatIsNotTheirs) {
  // QEMU's layout: header, map and data begin in one page.
  const VdiBuilder b{.header_size = 384, .map = {0, kF}, .data = {9}};
  const auto file = b.file();
  auto wanted = test::bytes_of_file(*file);
  const std::vector<std::byte> junk(512 - 456, std::byte{0x5a});
  ASSERT_TRUE(file->write(456, junk));
  std::copy(junk.begin(), junk.end(), wanted.begin() + 456);
  {
    VdiDisk disk(file);
    ASSERT_TRUE(disk.fill({kBlock, kBlock}, 4));
    ASSERT_TRUE(disk.writer().flush());
    ASSERT_TRUE(disk.fill({0, 512}, 5));
    ASSERT_TRUE(disk.writer().close());
  }
  auto now = test::bytes_of_file(*file);
  wanted.resize(b.data_at());
  now.resize(b.data_at());
  store(wanted, kCount, le32(2));
  store(wanted, kMap + 4, le32(1));
  std::copy_n(now.begin() + kModification, 16, wanted.begin() + kModification);
  EXPECT_EQ(now, wanted);
}

TEST(VdiChanges, OverwriteAStaticImageInPlace) {
  const auto file = VdiBuilder{.type = 2, .map = {0, 1}, .data = {9, 8}}.file();
  const uint64_t size = file->stat()->size;
  VdiDisk disk(file);
  ASSERT_TRUE(disk.fill({100, kBlock}, 4));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_EQ(file->stat()->size, size);
  EXPECT_THAT(disk.firsts(), ElementsAre(9, 4));
}

TEST(VdiChanges, KeepAZeroThatHidesTheParent) {
  const auto below = test::open_vdi(VdiBuilder{.map = {0, 1}, .data = {9, 8}}.file());
  ASSERT_TRUE(below);
  const auto file =
      VdiBuilder{.type = 4, .map = {kF, kF}, .parent_uuid = Uuid::random(), .data = {}}.file();
  {
    VdiDisk disk(file, below->get());
    ASSERT_TRUE(disk.writer().zero({kBlock, kBlock}, File::Zero::keep_space));
    ASSERT_TRUE(disk.writer().close());
  }
  EXPECT_EQ(test::word_of(*file, kMap + 4), VdiBuilder::kZero);
  EXPECT_THAT(VdiDisk(file, below->get()).firsts(), ElementsAre(9, 0));
}

// Zeroes what it is asked to, as a host's filesystem does.
class ZeroingFile final : public File {
 public:
  explicit ZeroingFile(FilePtr file) : file_(std::move(file)) {}
  const std::string& name() const override { return file_->name(); }
  Result<FileStat> stat() const override { return file_->stat(); }
  Result<void> write(uint64_t at, Bytes data) override { return file_->write(at, data); }
  Result<void> resize(uint64_t size) override { return file_->resize(size); }
  Result<void> sync() override { return file_->sync(); }
  Result<bool> make_zero(const Range& range, Zero how) override {
    zeroed.emplace_back(range, how);
    TRY(file_->write(range.offset, std::vector<std::byte>(range.length)));
    return true;
  }
  std::vector<std::pair<Range, Zero>> zeroed;

 private:
  Result<size_t> read_some(uint64_t at, MutableBytes out) const override {
    return file_->read_available(at, out);
  }
  FilePtr file_;
};

TEST(VdiChanges, PunchADiscardedBlockAndKeepItsNumber) {
  const VdiBuilder b{.map = {0, 1}, .data = {9, 8}};
  const auto file = std::make_shared<ZeroingFile>(b.file());
  VdiDisk disk(file);
  ASSERT_TRUE(disk.writer().discard({kBlock, kBlock}));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_THAT(disk.firsts(), ElementsAre(9, 0));
  EXPECT_EQ(test::word_of(*file, kMap + 4), 1u);
  ASSERT_EQ(file->zeroed.size(), 1u);
  EXPECT_EQ(file->zeroed[0].first, (Range{b.data_at() + kBlock, kBlock}));
  EXPECT_EQ(file->zeroed[0].second, File::Zero::free_space);
}

TEST(VdiChanges, WriteZeroesWhereTheHostCannotPunch) {
  const auto file = VdiBuilder{.map = {0, 1}, .data = {9, 8}}.file();
  VdiDisk disk(file);
  ASSERT_TRUE(disk.writer().discard({kBlock, kBlock}));
  ASSERT_TRUE(disk.writer().close());
  EXPECT_THAT(disk.firsts(), ElementsAre(9, 0));
}

// The first write fails, and no byte of the file has changed.
void expect_not_written(const VdiBuilder& builder, const std::string& message) {
  const auto file = builder.file();
  const auto before = test::bytes_of_file(*file);
  VdiDisk disk(file);
  const auto done = disk.fill({0, 512}, 1);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::corrupt);
  EXPECT_THAT(done.error().message(), HasSubstr(message));
  EXPECT_EQ(test::bytes_of_file(*file), before);
}

// A block in each page of a map of 5 MiB.
TEST(VdiChanges, AreFlushedWhenManyOfThemWait) {
  constexpr uint64_t kManyBlocks = 1280 * 1024;
  const auto memory = VdiBuilder{
      .block_size = 512,
      .map = std::vector<uint32_t>(kManyBlocks, kF),
      .data = {}}.file();
  unsigned syncs = 0;
  const auto file = std::make_shared<test::WrappedFile>(memory, [&](test::Call c) -> Result<void> {
    syncs += c == test::Call::sync ? 1 : 0;
    return {};
  });
  VdiDisk disk(file);
  ASSERT_TRUE(disk.fill({0, 512}, 1));
  const unsigned at_first = syncs;
  for (uint64_t block = 1024; block < kManyBlocks; block += 1024) {
    ASSERT_TRUE(disk.fill({block * 512, 512}, 1));
  }
  EXPECT_GT(syncs, at_first);
}

TEST(VdiChangesAttack, TwoEntriesAtOneBlock) {
  expect_not_written({.map = {0, 0, kF}, .data = {9}}, "1 at a block another has");
}

TEST(VdiChangesAttack, EntryOutsideTheFile) {
  expect_not_written({.map = {0, 7, kF}, .data = {9}}, "1 entries point outside the file");
}

TEST(VdiChanges, RefuseVersionsThatAreOnlyRead) {
  Epochs epochs;
  for (const VdiBuilder& b :
       {VdiBuilder{.version = 2, .map = {0}, .data = {1}},
        VdiBuilder{.type = 3, .map = {0}, .parent_uuid = Uuid::random(), .data = {1}},
        VdiBuilder{.map_offset = 510, .map = {0}, .data = {1}}}) {
    const auto image = test::open_writable_vdi(b.file(), epochs);
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().code(), Errc::unsupported);
  }
}

}  // namespace
}  // namespace platter::vdi
