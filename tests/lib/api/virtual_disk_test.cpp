// A disk of images that are opened one after the other, the lowest first.
#include <filesystem>

#include <gtest/gtest.h>

#include "tests/lib/api/virtual_disk_fixture.h"

namespace platter::test {
namespace {

TEST_F(VirtualDiskTest, OfNothingHasNoImageNoSizeAndIsReadOnly) {
  VirtualDisk disk;
  EXPECT_EQ(disk.count(), 0U);
  EXPECT_EQ(disk.size(), 0U);
  EXPECT_TRUE(disk.is_read_only());
  std::byte one{};
  expect_failure(disk.read(0, {&one, 1}), Errc::invalid, "no image is open");
  expect_failure(disk.write(0, {&one, 1}), Errc::invalid, "no image is open");
  expect_failure(disk.flush(), Errc::invalid, "no image is open");
  expect_failure(disk.close(), Errc::invalid, "no image is open");
  EXPECT_FALSE(disk.facts(0));
  EXPECT_DONE(disk.close_all());
}

TEST_F(VirtualDiskTest, ImagesOfMixedFormatsMakeOneDisk) {
  const std::vector<std::vector<std::string>> chains = {
      {"vdi", "vdi", "qcow2", "qcow2"}, {"vmdk", "vmdk", "qcow2"}, {"vhd", "vhd", "qcow2"},
      {"vhdx", "vhdx", "vhdx"},         {"raw", "qcow2", "qcow2"}, {"vmdk", "qcow"}};
  for (const auto& formats : chains) {
    const std::vector<OpenImage> images = make_chain(formats);
    VirtualDisk disk;
    for (const OpenImage& image : images) {
      EXPECT_DONE(disk.open(image));
      EXPECT_FALSE(disk.is_read_only());
    }
    EXPECT_EQ(disk.count(), images.size());
    EXPECT_TRUE(bytes_of(disk) == bytes_);
    // Without the top one it is what the lower ones were.
    EXPECT_DONE(disk.close(VirtualDisk::Remove::files));
    EXPECT_FALSE(bytes_of(disk) == bytes_);
    while (disk.count() != 0) EXPECT_DONE(disk.close(VirtualDisk::Remove::files));
    EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
  }
}

TEST_F(VirtualDiskTest, AChainOpensByItsTopAlone) {
  const std::vector<OpenImage> images = make_chain({"vhdx", "vhdx", "qcow2"});
  VirtualDisk disk;
  EXPECT_DONE(disk.open_chain({.path = images.back().path}));
  ASSERT_EQ(disk.count(), 3U);
  EXPECT_TRUE(bytes_of(disk) == bytes_);
  for (size_t i = 0; i < 3; ++i) {
    const auto facts = disk.facts(i);
    ASSERT_TRUE(facts);
    EXPECT_EQ(std::filesystem::canonical(facts->path), std::filesystem::canonical(images[i].path));
    EXPECT_EQ(facts->format, images[i].format);
    EXPECT_EQ(facts->has_parent, i != 0);
  }
}

TEST_F(VirtualDiskTest, OnlyTheTopImageIsWrittenAndTheOneBelowAgainWhenItIsClosed) {
  const std::vector<OpenImage> images = make_chain({"vdi", "qcow2"});
  VirtualDisk disk;
  EXPECT_DONE(disk.open(images[0]));
  EXPECT_FALSE(disk.facts(0)->flags.read_only);
  EXPECT_DONE(disk.open(images[1]));
  EXPECT_TRUE(disk.facts(0)->flags.read_only);
  EXPECT_FALSE(disk.facts(1)->flags.read_only);
  const std::string before = read_file(images[0].path);
  EXPECT_DONE(disk.write(0, pattern(0, 4096, 9)));
  EXPECT_DONE(disk.close());
  EXPECT_EQ(disk.count(), 1U);
  EXPECT_TRUE(before == read_file(images[0].path));
  EXPECT_FALSE(disk.facts(0)->flags.read_only);
  EXPECT_DONE(disk.write(0, pattern(0, 4096, 9)));
  EXPECT_DONE(disk.flush());
}

TEST_F(VirtualDiskTest, AnImageThatIsNoChildOfTheOneBelowIsRefusedAndNothingChanges) {
  const std::vector<OpenImage> images = make_chain({"vdi", "vdi"});
  VirtualDisk other;
  EXPECT_DONE(other.create_base({.path = path("other.vdi"), .format = "vdi", .size = kChainDisk}));
  EXPECT_DONE(other.write(5, pattern(5, 100, 3)));
  const std::vector<std::byte> before = bytes_of(other);
  expect_failure(other.open(images[1]), Errc::corrupt, "is another one");
  // Not a child at all.
  EXPECT_DONE(
      VirtualDisk().create_base({.path = path("b.vdi"), .format = "vdi", .size = kChainDisk}));
  expect_failure(other.open({.path = path("b.vdi")}), Errc::invalid, "has no parent");
  EXPECT_EQ(other.count(), 1U);
  EXPECT_FALSE(other.is_read_only());
  EXPECT_TRUE(bytes_of(other) == before);
  EXPECT_DONE(other.write(5, pattern(5, 100, 4)));
}

TEST_F(VirtualDiskTest, AParentThatWasChangedSinceIsRefused) {
  const std::vector<OpenImage> images = make_chain({"vdi", "vdi"});
  VirtualDisk disk;
  EXPECT_DONE(disk.open(images[0]));
  EXPECT_DONE(disk.write(0, pattern(0, 512, 7)));
  EXPECT_DONE(disk.flush());
  expect_failure(disk.open(images[1]), Errc::corrupt, "was changed after");
  EXPECT_EQ(disk.count(), 1U);
}

TEST_F(VirtualDiskTest, TheMapSaysWhichImageHasTheBytes) {
  make_chain({"vdi", "qcow2"});
  VirtualDisk disk;
  EXPECT_DONE(disk.open_chain({.path = path("1.qcow2")}));
  const auto base = disk.map({.offset = 12345, .length = 10});
  const auto child = disk.map({.offset = 700 * KiB + 12345, .length = 10});
  const auto none = disk.map({.offset = 3 * MiB, .length = 10});
  ASSERT_TRUE(base && child && none);
  EXPECT_EQ(base->kind, DiskRun::Kind::data);
  EXPECT_EQ(base->image, 0U);
  EXPECT_EQ(child->kind, DiskRun::Kind::data);
  EXPECT_EQ(child->image, 1U);
  EXPECT_EQ(none->kind, DiskRun::Kind::absent);
  EXPECT_FALSE(disk.map({.offset = kChainDisk, .length = 1}));
}

TEST_F(VirtualDiskTest, ClosingCanRemoveTheFilesOfTheTopImageAndNoOthers) {
  VirtualDisk disk;
  EXPECT_DONE(disk.create_base({.path = path("base.vdi"), .format = "vdi", .size = kChainDisk}));
  EXPECT_DONE(disk.close(VirtualDisk::Remove::nothing));
  EXPECT_TRUE(std::filesystem::exists(path("base.vdi")));
  EXPECT_DONE(disk.create_base({.path = path("split.vmdk"),
                                .format = "vmdk",
                                .size = 3 * GiB,
                                .variant = "twoGbMaxExtentSparse"}));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_.path()), {}), 4);
  EXPECT_DONE(disk.close(VirtualDisk::Remove::files));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_.path()), {}), 1);
  EXPECT_EQ(disk.count(), 0U);
}

TEST_F(VirtualDiskTest, AnImageThatCannotBeMadeLeavesNoFile) {
  VirtualDisk disk;
  expect_failure(disk.create_base({.path = path("x.vdi"), .format = "none", .size = kChainDisk}),
                 Errc::invalid, "none");
  expect_failure(disk.create_base({.path = path("x.vdi"),
                                   .format = "vdi",
                                   .size = kChainDisk,
                                   .metadata = {{"comment", "a"}, {"uuid", "no such thing"}}}),
                 Errc::invalid, "x.vdi");
  expect_failure(disk.create_child({.path = path("x.vdi"), .format = "vdi"}), Errc::invalid,
                 "no image is open");
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
  // Nor do the other files of one that is made of several.
  VirtualDisk floppy(VirtualDisk::Kind::floppy);
  expect_failure(floppy.create_base({.path = path("f.vmdk"),
                                     .format = "vmdk",
                                     .size = kChainDisk,
                                     .variant = "monolithicFlat"}),
                 Errc::invalid, "floppy");
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
  // Nor is one that is there removed.
  write_file(path("x.vdi"), std::string_view("mine"));
  EXPECT_FALSE(disk.create_base({.path = path("x.vdi"), .format = "vdi", .size = kChainDisk}));
  EXPECT_EQ(read_file(path("x.vdi")), "mine");
}

TEST_F(VirtualDiskTest, MetadataIsMadeAndChanged) {
  VirtualDisk disk;
  EXPECT_DONE(
      disk.create_base({.path = path("m.vdi"),
                        .format = "vdi",
                        .size = kChainDisk,
                        .metadata = {{"comment", "of May"}, {"geometry-lchs", "10/20/30"}}}));
  auto facts = disk.facts(0);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->comment, "of May");
  EXPECT_EQ(facts->lchs, (CylinderHeadSector{.cylinders = 10, .heads = 20, .sectors = 30}));
  EXPECT_DONE(disk.write(77, pattern(77, 1000, 5)));
  const std::vector<std::byte> before = bytes_of(disk);
  EXPECT_DONE(disk.set(0, {{"comment", "of June"}}));
  EXPECT_EQ(disk.facts(0)->comment, "of June");
  EXPECT_TRUE(bytes_of(disk) == before);
  EXPECT_FALSE(disk.set(0, {{"comment", std::string(5000, 'x')}}));
  EXPECT_EQ(disk.facts(0)->comment, "of June");
  EXPECT_FALSE(disk.is_read_only());
}

TEST_F(VirtualDiskTest, GrowsAndIsCutOnlyWhenThatIsAskedFor) {
  VirtualDisk disk;
  EXPECT_DONE(disk.create_base({.path = path("g.qcow2"), .format = "qcow2", .size = kChainDisk}));
  EXPECT_DONE(disk.write(0, pattern(0, kChainDisk, 1)));
  EXPECT_DONE(disk.resize(2 * kChainDisk));
  EXPECT_EQ(disk.size(), 2 * kChainDisk);
  expect_failure(disk.resize(MiB), Errc::invalid, "lost");
  EXPECT_DONE(disk.resize(MiB, true));
  EXPECT_TRUE(bytes_of(disk) == pattern(0, MiB, 1));
}

TEST_F(VirtualDiskTest, SnapshotsComeAndGoWhileItIsUsed) {
  VirtualDisk disk;
  EXPECT_DONE(disk.create_base({.path = path("s.qcow2"), .format = "qcow2", .size = kChainDisk}));
  EXPECT_DONE(disk.write(0, pattern(0, MiB, 1)));
  const std::vector<std::byte> first = bytes_of(disk);
  EXPECT_DONE(disk.create_snapshot("one"));
  EXPECT_DONE(disk.write(0, pattern(0, MiB, 2)));
  EXPECT_DONE(disk.rename_snapshot("one", "two"));
  ASSERT_EQ(disk.snapshots()->size(), 1U);
  EXPECT_EQ(disk.snapshots()->front().name, "two");
  EXPECT_EQ(disk.snapshots()->front().size, kChainDisk);
  EXPECT_DONE(disk.apply_snapshot("two"));
  EXPECT_TRUE(bytes_of(disk) == first);
  EXPECT_DONE(disk.remove_snapshot("two"));
  EXPECT_TRUE(disk.snapshots()->empty());
  expect_failure(disk.remove_snapshot("two"), Errc::not_found, "two");
}

TEST_F(VirtualDiskTest, KindsOfDisksTakeWhatTheyCan) {
  write_file(path("a.iso"), std::string(3 * 2048, 'i'));
  write_file(path("b.iso"), std::string(3 * 2048 + 512, 'i'));
  VirtualDisk dvd(VirtualDisk::Kind::dvd);
  EXPECT_DONE(dvd.open({.path = path("a.iso"), .format = "raw"}));
  EXPECT_TRUE(dvd.is_read_only());
  EXPECT_DONE(dvd.close());
  expect_failure(dvd.open({.path = path("b.iso"), .format = "raw"}), Errc::invalid, "2048");
  expect_failure(dvd.create_base({.path = path("c.iso"), .format = "raw", .size = 2048}),
                 Errc::read_only, "DVD");
  VirtualDisk floppy(VirtualDisk::Kind::floppy);
  EXPECT_DONE(floppy.create_base({.path = path("f.img"), .format = "raw", .size = 1440 * KiB}));
  EXPECT_FALSE(floppy.is_read_only());
  EXPECT_DONE(floppy.close());
  expect_failure(floppy.create_base({.path = path("g.img"), .format = "raw", .size = kChainDisk}),
                 Errc::invalid, "floppy");
  EXPECT_FALSE(std::filesystem::exists(path("g.img")));
}

TEST_F(VirtualDiskTest, AnEncryptedImageNeedsItsPassphrase) {
  VirtualDisk disk;
  EXPECT_DONE(
      disk.create_base({.path = path("e.qcow2"),
                        .format = "qcow2",
                        .size = kChainDisk,
                        .options = {{"encrypt.format", "luks"}, {"encrypt.iter-time", "10"}},
                        .passphrase = "secret"}));
  EXPECT_DONE(disk.write(100, pattern(100, 10000, 1)));
  const std::vector<std::byte> before = bytes_of(disk);
  EXPECT_DONE(disk.close());
  EXPECT_FALSE(disk.open({.path = path("e.qcow2"), .passphrase = "wrong"}));
  EXPECT_DONE(disk.open({.path = path("e.qcow2"), .passphrase = "secret"}));
  EXPECT_TRUE(bytes_of(disk) == before);
}

TEST_F(VirtualDiskTest, EveryKindOfImageIsMadeByItsVariant) {
  const std::vector<std::pair<std::string, std::string>> kinds = {{"vdi", "static"},
                                                                  {"vdi", "dynamic"},
                                                                  {"vhd", "fixed"},
                                                                  {"vhdx", "fixed"},
                                                                  {"vmdk", "monolithicFlat"},
                                                                  {"vmdk", "twoGbMaxExtentSparse"},
                                                                  {"vmdk", "twoGbMaxExtentFlat"},
                                                                  {"vmdk", "vmfs"},
                                                                  {"vmdk", "streamOptimized"},
                                                                  {"qcow2", "v2"}};
  for (const auto& [format, variant] : kinds) {
    VirtualDisk disk;
    EXPECT_DONE(disk.create_base({.path = path(variant + "." + format),
                                  .format = format,
                                  .size = kChainDisk,
                                  .variant = variant}));
    ASSERT_EQ(disk.count(), 1U) << variant;
    EXPECT_EQ(disk.facts(0)->variant, variant);
    EXPECT_EQ(disk.size(), kChainDisk);
  }
  VirtualDisk disk;
  expect_failure(disk.create_base({.path = path("x.vdi"),
                                   .format = "vdi",
                                   .size = kChainDisk,
                                   .variant = "streamOptimized"}),
                 Errc::invalid, "streamOptimized");
}

TEST_F(VirtualDiskTest, FactsAreThoseOfEachImage) {
  const std::vector<OpenImage> images = make_chain({"vdi", "vdi"});
  VirtualDisk disk;
  EXPECT_DONE(disk.open(images[0]));
  EXPECT_DONE(disk.open(images[1]));
  for (size_t i = 0; i < 2; ++i) {
    const auto facts = disk.facts(i);
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->path, images[i].path);
    EXPECT_EQ(facts->format, images[i].format);
    EXPECT_EQ(facts->file_size, std::filesystem::file_size(images[i].path));
    EXPECT_GT(facts->allocated, 0U);
    EXPECT_EQ(facts->size, kChainDisk);
    EXPECT_FALSE(facts->variant.empty());
  }
  EXPECT_EQ(disk.facts(1)->parent_uuid, disk.facts(0)->uuid);
  expect_failure(Result<void>(disk.facts(2).error()), Errc::invalid, "no image 2");
}

TEST_F(VirtualDiskTest, IdsAreThoseThatWereSet) {
  const std::vector<OpenImage> images = make_chain({"vdi", "vdi"});
  VirtualDisk disk;
  OpenImage info = images[1];
  info.flags.info = true;
  EXPECT_DONE(disk.open(info));
  const std::string id = "01234567-89ab-4cde-8f01-23456789abcd";
  EXPECT_DONE(disk.set(0, {{"uuid", id}, {"parent-uuid", id}}));
  EXPECT_EQ(disk.facts(0)->uuid, id);
  EXPECT_EQ(disk.facts(0)->parent_uuid, id);
  EXPECT_DONE(disk.set(0, {{"modification-uuid", "random"}}));
  EXPECT_FALSE(disk.facts(0)->modification_uuid.empty());
  EXPECT_NE(disk.facts(0)->modification_uuid, id);
}

}  // namespace
}  // namespace platter::test
