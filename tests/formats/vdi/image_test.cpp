#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/extent_walk.h"
#include "tests/formats/vdi/vdi_names.h"

namespace platter::vdi {
namespace {

using test::VdiBuilder;
using testing::ElementsAre;

struct OpenVdi {
  ImagePtr image;
  BlockCache blocks{MiB};
  ViewPtr view;

  explicit OpenVdi(FilePtr file) {
    auto opened = test::open_vdi(std::move(file));
    if (!opened) throw std::runtime_error(opened.error().message());
    image = *std::move(opened);
    view = std::make_shared<View>(std::vector<View::Layer>{{image.get(), 0}}, blocks);
  }

  // "start+length kind host" of each merged extent.
  std::vector<std::string> extents() const {
    std::vector<std::string> lines;
    const auto walked = walk(*view, {0, view->size()}, [&](const View::Mapped& m) -> Result<bool> {
      lines.push_back(line(m.extent));
      return true;
    });
    if (!walked) lines.push_back(walked.error().message());
    return lines;
  }

  static std::string line(const Extent& e) {
    const char* const kinds[] = {"absent", "zero", "data", "encoded"};
    std::string text = std::to_string(e.guest.offset) + "+" + std::to_string(e.guest.length) + " " +
                       kinds[static_cast<size_t>(e.kind)];
    if (e.kind == Extent::Kind::data) text += " " + std::to_string(e.host);
    return text;
  }

  std::vector<std::byte> read(uint64_t offset, size_t length) const {
    std::vector<std::byte> out(length);
    const auto done = view->read(offset, out);
    if (!done) throw std::runtime_error(done.error().message());
    return out;
  }
};

// The first byte of each 512-byte sector.
std::vector<int> sectors(const std::vector<std::byte>& bytes) {
  std::vector<int> firsts;
  for (size_t i = 0; i < bytes.size(); i += 512) firsts.push_back(std::to_integer<int>(bytes[i]));
  return firsts;
}

TEST(VdiMap, TellsFreeZeroAndDataApart) {
  const OpenVdi disk(VdiBuilder{.map = {kF, 1, kZ, 0}, .data = {0x10, 0x20}}.file());
  EXPECT_THAT(disk.extents(), ElementsAre("0+4096 absent", "4096+4096 data 5120", "8192+4096 zero",
                                          "12288+4096 data 1024"));
}

TEST(VdiMap, MergesBlocksThatFollowOneAnotherInTheFile) {
  const OpenVdi disk(
      VdiBuilder{.map = {0, 1, 2, kF, kF, kZ, kZ, 4, 3}, .data = {1, 2, 3, 4, 5}}.file());
  const auto first = disk.image->map({100, 9 * 4096 - 100});
  ASSERT_TRUE(first);
  EXPECT_EQ(OpenVdi::line(*first), "0+12288 data 1024");
  EXPECT_EQ(OpenVdi::line(*disk.image->map({3 * 4096, 6 * 4096})), "12288+8192 absent");
  EXPECT_EQ(OpenVdi::line(*disk.image->map({5 * 4096, 4 * 4096})), "20480+8192 zero");
  EXPECT_EQ(OpenVdi::line(*disk.image->map({7 * 4096, 2 * 4096})), "28672+4096 data 17408");
}

TEST(VdiMap, LooksNoFartherThanItIsAsked) {
  const OpenVdi disk(VdiBuilder{.map = {0, 1, 2}, .data = {1, 2, 3}}.file());
  EXPECT_EQ(OpenVdi::line(*disk.image->map({4096, 1})), "4096+4096 data 5120");
}

TEST(VdiMap, EndsARunWhereThePageOfTheMapEnds) {
  // The map begins at 512: its first page has 896 entries.
  const OpenVdi disk(VdiBuilder{.block_size = 512, .map = std::vector<uint32_t>(3000, kF)}.file());
  const auto extent = disk.image->map({0, 3000 * 512});
  ASSERT_TRUE(extent);
  EXPECT_EQ(extent->guest, (Range{0, 896 * 512}));
  EXPECT_THAT(disk.extents(), ElementsAre("0+1536000 absent"));
}

TEST(VdiMap, ReadsAnEntryThatCrossesPages) {
  VdiBuilder builder{.map_offset = 513, .data_offset = 8192, .block_size = 512};
  builder.map.assign(1000, kF);
  // Bytes 4093 to 4096 of the file.
  builder.map[895] = 0;
  builder.data = {0x77};
  const OpenVdi disk(builder.file());
  EXPECT_THAT(disk.extents(),
              ElementsAre("0+458240 absent", "458240+512 data 8192", "458752+53248 absent"));
}

TEST(VdiMap, LeavesOutTheExtraBytesInFrontOfEachBlock) {
  const OpenVdi disk(
      VdiBuilder{.block_size = 1024, .block_extra = 512, .map = {0, 1}, .data = {0x10, 0x20}}
          .file());
  EXPECT_THAT(disk.extents(), ElementsAre("0+1024 data 1536", "1024+1024 data 3072"));
  EXPECT_THAT(sectors(disk.read(0, 2048)), ElementsAre(0x10, 0x11, 0x20, 0x21));
}

TEST(VdiMap, CutsTheLastBlockWhereTheDiskEnds) {
  VdiBuilder builder{.map = {0, 1}, .data = {0x10, 0x20}};
  builder.disk_size = 4096 + 512;
  const OpenVdi disk(builder.file());
  EXPECT_EQ(disk.view->size(), 4608u);
  EXPECT_THAT(disk.extents(), ElementsAre("0+4608 data 1024"));
  builder.map = {1, kF};
  EXPECT_THAT(OpenVdi(builder.file()).extents(),
              ElementsAre("0+4096 data 5120", "4096+512 absent"));
}

TEST(VdiMap, ReadsZeroesWhereTheLastBlockOfTheFileIsShort) {
  VdiBuilder builder{.map = {0, 1}, .data = {0x10, 0x20}};
  builder.file_size = 1024 + 4096 + 700;
  const OpenVdi disk(builder.file());
  EXPECT_THAT(disk.extents(), ElementsAre("0+4796 data 1024", "4796+3396 zero"));
  const auto bytes = disk.read(4096, 4096);
  EXPECT_THAT(sectors(bytes), ElementsAre(0x20, 0x21, 0, 0, 0, 0, 0, 0));
  EXPECT_EQ(bytes[699], std::byte{0x21});
  EXPECT_EQ(bytes[700], std::byte{0});
}

TEST(VdiAttack, PointerPastTheEndOfTheFile) {
  for (const uint32_t pointer : {2u, 3u, 0x7fffffffu, 0x80000000u, 0xfffffffdu}) {
    const OpenVdi disk(VdiBuilder{.map = {0, pointer, 1}, .data = {0x10, 0x20}}.file());
    const auto extent = disk.image->map({4096, 4096});
    ASSERT_FALSE(extent) << pointer;
    EXPECT_EQ(extent.error().code(), Errc::corrupt);
    EXPECT_EQ(extent.error().message(), "block 1: points past the end of the file");
    // The others are read all the same.
    EXPECT_THAT(sectors(disk.read(8192, 512)), ElementsAre(0x20));
  }
}

TEST(VdiAttack, RunOfPointersThatLeavesTheFile) {
  const OpenVdi disk(VdiBuilder{.map = {0, 1, 2, 3}, .data = {0x10, 0x20}}.file());
  EXPECT_EQ(OpenVdi::line(*disk.image->map({0, 4 * 4096})), "0+8192 data 1024");
  EXPECT_FALSE(disk.image->map({2 * 4096, 1}));
}

TEST(VdiAttack, TwoBlocksInOnePlace) {
  const OpenVdi disk(VdiBuilder{.map = {0, 0}, .data = {0x10}}.file());
  EXPECT_EQ(disk.read(0, 4096), disk.read(4096, 4096));
}

TEST(VdiAttack, MapOfAFileThatShrinksAfterItWasOpened) {
  const auto file = VdiBuilder{.map = {0, 1}, .data = {0x10, 0x20}}.file();
  const OpenVdi disk(file);
  (void)file->resize(514);
  const auto extent = disk.image->map({4096, 1});
  ASSERT_FALSE(extent);
  EXPECT_EQ(extent.error().code(), Errc::corrupt);
}

TEST(Vdi, OpensADiskOf64TebibytesWithoutReadingItsMap) {
  // 2^26 blocks of 1 MiB. Of the map only the beginning is written: the rest is a hole, whose
  // zeroes point to block 0 of the file.
  VdiBuilder builder{.block_size = MiB, .map = {0, kF, kZ}};
  builder.disk_size = 64 * 1024 * GiB;
  builder.blocks = 1 << 26;
  builder.blocks_allocated = 1;
  builder.words32 = {{344, 0x10001000}};
  builder.file_size = 0x10001000 + MiB;
  const OpenVdi disk(builder.file());
  EXPECT_EQ(disk.view->size(), uint64_t{1} << 46);
  EXPECT_EQ(OpenVdi::line(*disk.image->map({MiB, 1})), "1048576+1048576 absent");
  EXPECT_EQ(OpenVdi::line(*disk.image->map({(uint64_t{1} << 46) - 1, 1})),
            "70368743129088+1048576 data 268439552");
}

// The image of the format's description: `qemu-img create -f vdi dyn.vdi 5M`, then a sector of 0xAA
// at 2 MiB, then one of 0xBB at 0.
TEST(Vdi, ReadsTheWorkedExample) {
  const auto file = std::make_shared<MemoryFile>("dyn.vdi");
  const auto put = [&](uint64_t at, std::vector<uint32_t> words) {
    std::vector<le32> disk(words.begin(), words.end());
    ASSERT_TRUE(file->write(at, std::as_bytes(std::span(disk))));
  };
  put(0x40, {0xbeda107f, 0x00010001, 0x180, 1});
  put(0x150, {0, 0x200, 0x400, 0});
  put(0x160, {0, 0, 0x200, 0});
  put(0x170, {0x500000, 0, 0x100000, 0});
  put(0x180, {5, 2, 1, 2, 3, 4, 5, 6, 7, 8});
  put(0x200, {1, kF, 0, kF, kF});
  ASSERT_TRUE(file->resize(0x400 + 2 * MiB));
  ASSERT_TRUE(file->write(0x400, std::vector(512, std::byte{0xaa})));
  ASSERT_TRUE(file->write(0x100400, std::vector(512, std::byte{0xbb})));
  const OpenVdi disk(file);
  EXPECT_EQ(disk.view->size(), 5 * MiB);
  EXPECT_THAT(disk.extents(), ElementsAre("0+1048576 data 1049600", "1048576+1048576 absent",
                                          "2097152+1048576 data 1024", "3145728+2097152 absent"));
  std::vector<std::byte> expected(5 * MiB);
  std::fill_n(expected.begin(), 512, std::byte{0xbb});
  std::fill_n(expected.begin() + 2 * MiB, 512, std::byte{0xaa});
  EXPECT_TRUE(disk.read(0, 5 * MiB) == expected);
}

}  // namespace
}  // namespace platter::vdi
