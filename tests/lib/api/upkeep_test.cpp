// Images are compacted, copied as they are and moved, and their disk stays what it is.
#include <filesystem>

#include <gtest/gtest.h>

#include <platter/images.h>

#include "tests/lib/api/virtual_disk_fixture.h"

namespace platter::test {
namespace {

using KeptDisk = VirtualDiskTest;

TEST_F(KeptDisk, IsSmallerWhenItsZeroesAreGivenBack) {
  VirtualDisk disk;
  EXPECT_DONE(disk.create_base({.path = path("a.vdi"),
                                .format = "vdi",
                                .size = kChainDisk,
                                .flags = {.honor_zeroes = true}}));
  EXPECT_DONE(disk.write(0, pattern(0, kChainDisk, 1)));
  EXPECT_DONE(disk.write(MiB, std::vector<std::byte>(2 * MiB)));
  const std::vector<std::byte> before = bytes_of(disk);
  const uint64_t size = disk.facts(0)->file_size;
  EXPECT_DONE(disk.compact(0));
  EXPECT_EQ(disk.facts(0)->file_size, size - 2 * MiB);
  EXPECT_TRUE(bytes_of(disk) == before);
  EXPECT_FALSE(disk.is_read_only());
  expect_failure(disk.compact(1), Errc::invalid, "no image 1");
  EXPECT_DONE(disk.close());
  const auto again = compact_image({.path = path("a.vdi")});
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->size_after, again->size_before);
}

TEST_F(KeptDisk, IsTheSameInACopyOfEachLayer) {
  const std::vector<OpenImage> images = make_chain({"vdi", "vdi", "vdi"});
  std::filesystem::create_directory(path("copy"));
  const auto copies =
      clone_image(images[2], path("copy/top.qcow2"), {.format = "qcow2", .layers = true});
  ASSERT_TRUE(copies) << copies.error().message();
  EXPECT_EQ(copies->size(), 3U);
  VirtualDisk disk;
  EXPECT_DONE(disk.open_chain({.path = path("copy/top.qcow2")}));
  EXPECT_EQ(disk.count(), 3U);
  EXPECT_TRUE(bytes_of(disk) == bytes_);
}

TEST_F(KeptDisk, IsCopiedOntoACopyOfItsParentWithoutReadingThat) {
  const std::vector<OpenImage> images = make_chain({"vdi", "vdi"});
  ASSERT_TRUE(clone_image(images[0], path("base.vdi")));
  const auto copies = clone_image(images[1], path("child.vdi"), {.parent = path("base.vdi")});
  ASSERT_TRUE(copies) << copies.error().message();
  ASSERT_EQ(copies->size(), 1U);
  EXPECT_LE(copies->front().copied, 2 * MiB);
  VirtualDisk disk;
  EXPECT_DONE(disk.open_chain({.path = path("child.vdi")}));
  EXPECT_EQ(disk.count(), 2U);
  EXPECT_TRUE(bytes_of(disk) == bytes_);
}

TEST_F(KeptDisk, IsMovedWithItsFilesAndFindsItsParent) {
  const std::vector<OpenImage> images = make_chain({"qcow2", "qcow2"});
  std::filesystem::create_directory(path("sub"));
  const auto moved = move_image(images[0], path("sub/base.qcow2"), {images[1].path});
  ASSERT_TRUE(moved) << moved.error().message();
  EXPECT_FALSE(moved->copied);
  EXPECT_EQ(moved->files.size(), 1U);
  EXPECT_FALSE(std::filesystem::exists(images[0].path));
  VirtualDisk disk;
  EXPECT_DONE(disk.open_chain({.path = images[1].path}));
  EXPECT_TRUE(bytes_of(disk) == bytes_);
  EXPECT_DONE(disk.close_all());
  EXPECT_FALSE(move_image(images[1], path("sub/base.qcow2")));
  EXPECT_DONE(disk.open_chain({.path = images[1].path}));
}

}  // namespace
}  // namespace platter::test
