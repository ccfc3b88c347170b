// New VMDKs: their files, what their descriptors say, and what cannot be made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/image/registry.h"
#include "tests/formats/vmdk/vmdk_disk.h"
#include "tests/support/bytes.h"

namespace platter::vmdk {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class MemoryParts final : public NewParts {
 public:
  Result<FilePtr> make(const std::string& name) override {
    files[name] = std::make_shared<MemoryFile>(name);
    return files[name];
  }
  std::map<std::string, FilePtr> files;
};

struct New {
  std::shared_ptr<MemoryFile> file = std::make_shared<MemoryFile>("new");
  MemoryParts parts;

  Result<ImageWriterPtr> begin(uint64_t size, const Options& options = {},
                               const std::string& name = "disk.vmdk",
                               const std::optional<ParentLink>& parent = std::nullopt) {
    return find_format("vmdk")->create({.file = file,
                                        .size = size,
                                        .options = options,
                                        .parent = parent,
                                        .name = name,
                                        .parts = &parts});
  }
  std::string text() const { return test::read_text(*file, 0, 4096); }
};

std::string why_not_made(uint64_t size, const Options& options = {},
                         const std::optional<ParentLink>& parent = std::nullopt) {
  New made;
  const auto writer = made.begin(size, options, "disk.vmdk", parent);
  if (writer) return "";
  EXPECT_EQ(writer.error().code(), Errc::invalid);
  return writer.error().message();
}

TEST(VmdkCreate, ASplitDiskHasItsPartsNamedAfterIt) {
  New made;
  const auto writer = made.begin(
      MiB + 512,
      {{"create_type", "twoGbMaxExtentSparse"}, {"extent_size", "512k"}, {"grain_size", "64k"}},
      "My Disk.VMDK");
  ASSERT_TRUE(writer) << writer.error().message();
  ASSERT_TRUE((*writer)->write(448 * KiB, std::vector(128 * KiB, std::byte{7})));
  ASSERT_TRUE((*writer)->finish());
  EXPECT_THAT(made.text(), HasSubstr("RW 1024 SPARSE \"My Disk-s001.vmdk\"\n"
                                     "RW 1024 SPARSE \"My Disk-s002.vmdk\"\n"
                                     "RW 1 SPARSE \"My Disk-s003.vmdk\"\n"));
  EXPECT_EQ(made.parts.files.size(), 3u);
  const auto sectors = test::sectors_of(made.file, made.parts.files);
  ASSERT_EQ(sectors.size(), 2049u);
  EXPECT_EQ(sectors[895], 0);
  EXPECT_EQ(sectors[896], 7);
  EXPECT_EQ(sectors[1151], 7);
  EXPECT_EQ(sectors[1152], 0);
}

TEST(VmdkCreate, TheDescriptorSaysWhatWasAskedFor) {
  New made;
  const auto writer = made.begin(10 * MiB, {{"create_type", "vmfs"},
                                            {"adapter_type", "pvscsi"},
                                            {"hwversion", "19"},
                                            {"toolsversion", "10000"}});
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->finish());
  const auto image = test::open_vmdk(made.file, made.parts.files);
  ASSERT_TRUE(image);
  const ImageInfo& info = (*image)->info();
  EXPECT_EQ(info.variant, "vmfs");
  EXPECT_TRUE(info.uuid && info.modification_uuid);
  EXPECT_EQ(info.content_id.size(), 8u);
  EXPECT_EQ(info.pchs->heads, 255u);
  EXPECT_THAT(made.text(), HasSubstr("RW 20480 VMFS \"disk-flat.vmdk\"\n"));
  EXPECT_THAT(made.text(), HasSubstr("ddb.adapterType = \"pvscsi\""));
  EXPECT_THAT(made.text(), HasSubstr("ddb.virtualHWVersion = \"19\""));
  EXPECT_THAT(made.text(), HasSubstr("ddb.toolsVersion = \"10000\""));
}

TEST(VmdkCreate, AGeometryOfIdeIsNoLargerThanItCanBe) {
  New made;
  const auto writer = made.begin(100 * GiB);
  ASSERT_TRUE((*writer)->finish());
  EXPECT_EQ((*test::open_vmdk(made.file))->info().pchs->cylinders, 16383u);
}

// Both ways to name a parent: VMware's and VirtualBox's.
TEST(VmdkCreate, AChildNamesItsParentToEverybody) {
  const Uuid id = *Uuid::parse("11111111-2222-4333-8444-555555555555");
  const Uuid modification = *Uuid::parse("21111111-2222-4333-8444-555555555555");
  New made;
  const auto writer = made.begin(MiB, {{"grain_size", "4k"}}, "c.vmdk",
                                 ParentLink{.reference = "../b.vmdk",
                                            .format = "vmdk",
                                            .uuid = id,
                                            .modification_uuid = modification,
                                            .content_id = "00c0ffee"});
  ASSERT_TRUE(writer) << writer.error().message();
  // Zeroes that hide what the parent has are data.
  ASSERT_TRUE((*writer)->zero({0, 8 * KiB}));
  ASSERT_TRUE((*writer)->finish());
  const auto image = test::open_vmdk(made.file);
  ASSERT_TRUE(image);
  const auto& link = (*image)->info().parent;
  ASSERT_TRUE(link);
  EXPECT_EQ(link->reference, "../b.vmdk");
  EXPECT_THAT(link->other_references, ElementsAre("b.vmdk"));
  EXPECT_EQ(link->format, "vmdk");
  EXPECT_EQ(link->uuid, id);
  EXPECT_EQ(link->modification_uuid, modification);
  EXPECT_EQ(link->content_id, "00c0ffee");
  EXPECT_EQ((*image)->map({0, MiB})->kind, Extent::Kind::data);
  EXPECT_EQ((*image)->map({0, MiB})->guest.length, 8 * KiB);
  EXPECT_THAT(test::read_text(*made.file, 512, 2048), HasSubstr("parentCID=00c0ffee\n"));
}

TEST(VmdkCreate, ZeroesOfAChildAreEntriesWhereItsTablesCanSayIt) {
  New made;
  const auto writer = made.begin(MiB, {{"zeroed_grain", "on"}}, "c.vmdk",
                                 ParentLink{.reference = "b.vmdk", .content_id = "00c0ffee"});
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->zero({0, 128 * KiB}));
  ASSERT_TRUE((*writer)->finish());
  EXPECT_EQ((*test::open_vmdk(made.file))->map({0, MiB})->kind, Extent::Kind::zero);
}

TEST(VmdkCreate, RefusesOptionsThatCannotBe) {
  EXPECT_THAT(why_not_made(0), HasSubstr("0 bytes"));
  EXPECT_THAT(why_not_made(MiB, {{"create_type", "streamy"}}), HasSubstr("create_type=streamy"));
  EXPECT_THAT(why_not_made(MiB, {{"adapter_type", "sata"}}), HasSubstr("adapter_type=sata"));
  EXPECT_THAT(why_not_made(MiB, {{"zeroed_grain", "yes"}}), HasSubstr("on or off"));
  for (const char* size : {"2k", "5k", "128M", "x"}) {
    EXPECT_THAT(why_not_made(MiB, {{"grain_size", size}}), HasSubstr("grain_size=")) << size;
  }
  for (const char* size : {"2G", "1000", "32k", "x"}) {
    EXPECT_THAT(why_not_made(MiB, {{"extent_size", size}}), HasSubstr("extent_size=")) << size;
  }
  EXPECT_THAT(why_not_made(MiB, {{"hwversion", "4\"\nRW 1 ZERO"}}), HasSubstr("a version"));
  EXPECT_THAT(why_not_made(MiB, {{"toolsversion", ""}}), HasSubstr("a version"));
}

TEST(VmdkCreate, RefusesSizesThatCannotBe) {
  EXPECT_THAT(why_not_made(uint64_t{3} << 40), HasSubstr("larger than the 2 TiB"));
  EXPECT_THAT(why_not_made(uint64_t{20} << 40, {{"create_type", "twoGbMaxExtentFlat"}}),
              HasSubstr("more than 4096"));
  EXPECT_THAT(why_not_made(kMaxOffset, {{"create_type", "monolithicFlat"}}),
              HasSubstr("too large"));
}

TEST(VmdkCreate, RefusesParentsThatCannotBe) {
  EXPECT_THAT(why_not_made(MiB, {}, ParentLink{.reference = "b", .format = "vdi"}),
              HasSubstr("can only have another VMDK"));
  EXPECT_THAT(why_not_made(MiB, {}, ParentLink{.reference = "b"}), HasSubstr("has no CID"));
  EXPECT_THAT(why_not_made(MiB, {}, ParentLink{.reference = "a\"b", .content_id = "1"}),
              HasSubstr("a quote"));
  EXPECT_THAT(why_not_made(MiB, {{"create_type", "monolithicFlat"}},
                           ParentLink{.reference = "b", .content_id = "1"}),
              HasSubstr("has to be sparse"));
}

// A name with a line end would be another line.
TEST(VmdkCreate, RefusesNamesThatWouldChangeTheDescriptor) {
  for (const char* name : {"a\"b.vmdk", "a\nRW 1 ZERO.vmdk", "a\r.vmdk"}) {
    New made;
    EXPECT_EQ(made.begin(MiB, {}, name).error().code(), Errc::invalid);
  }
  New made;
  const auto writer = made.begin(MiB, {}, std::string(11000, 'x') + ".vmdk");
  ASSERT_TRUE(writer);
  EXPECT_EQ((*writer)->finish().error().code(), Errc::invalid);
}

TEST(VmdkCreate, ADiskOfPartsNeedsAPlaceForThem) {
  const Options options{{"create_type", "monolithicFlat"}};
  const auto writer = find_format("vmdk")->create(
      {.file = std::make_shared<MemoryFile>("x"), .size = MiB, .options = options});
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code(), Errc::invalid);
}

TEST(VmdkCreate, TakesBlocksInOrderOnly) {
  New made;
  const auto writer = made.begin(MiB);
  ASSERT_TRUE(writer);
  const std::vector<std::byte> grain(64 * KiB, std::byte{1});
  ASSERT_TRUE((*writer)->write(128 * KiB, grain));
  EXPECT_EQ((*writer)->write(64 * KiB, grain).error().code(), Errc::out_of_range);
  EXPECT_EQ((*writer)->write(MiB, grain).error().code(), Errc::out_of_range);
  EXPECT_EQ((*writer)->write(256 * KiB, Bytes(grain).first(100)).error().code(),
            Errc::out_of_range);
  EXPECT_EQ((*writer)->zero({100, 64 * KiB}).error().code(), Errc::out_of_range);
}

}  // namespace
}  // namespace platter::vmdk
