// Images of a chain become one, and the disk stays what it is.
#include <filesystem>

#include <gtest/gtest.h>

#include <platter/images.h>

#include "tests/lib/api/virtual_disk_fixture.h"

namespace platter::test {
namespace {

using MergedDisk = VirtualDiskTest;

TEST_F(MergedDisk, AnyTwoImagesBecomeOneEitherWay) {
  const std::vector<std::string> formats = {"vdi", "vdi", "qcow2", "qcow2"};
  for (size_t from = 0; from < formats.size(); ++from) {
    for (size_t to = 0; to < formats.size(); ++to) {
      if (from == to) continue;
      const std::vector<OpenImage> images = make_chain(formats);
      VirtualDisk disk;
      EXPECT_DONE(disk.open_chain({.path = images.back().path}));
      EXPECT_DONE(disk.merge(from, to));
      const size_t gone = from < to ? to - from : from - to;
      ASSERT_EQ(disk.count(), formats.size() - gone) << from << " into " << to;
      EXPECT_TRUE(bytes_of(disk) == bytes_) << from << " into " << to;
      for (size_t i = 0; i < images.size(); ++i) {
        const bool merged = i != to && i >= std::min(from, to) && i <= std::max(from, to);
        EXPECT_EQ(std::filesystem::exists(images[i].path), !merged) << i;
      }
      // What is left is a chain for whoever opens it next.
      EXPECT_DONE(disk.write(0, pattern(0, 512, 77)));
      const std::vector<std::byte> now = bytes_of(disk);
      const std::string top = disk.facts(disk.count() - 1)->path;
      EXPECT_DONE(disk.close_all());
      EXPECT_DONE(disk.open_chain({.path = top}));
      EXPECT_TRUE(bytes_of(disk) == now);
      while (disk.count() != 0) EXPECT_DONE(disk.close(VirtualDisk::Remove::files));
    }
  }
}

TEST_F(MergedDisk, WhatCannotBeMergedIsRefusedAndNothingChanges) {
  const std::vector<OpenImage> images = make_chain({"vdi", "vdi"});
  VirtualDisk disk;
  EXPECT_DONE(disk.open_chain({.path = images[1].path}));
  expect_failure(disk.merge(1, 1), Errc::invalid, "itself");
  expect_failure(disk.merge(0, 2), Errc::invalid, "no image 2");
  const auto stop = [](uint64_t, uint64_t) { return false; };
  expect_failure(disk.merge(1, 0, stop), Errc::cancelled, "");
  EXPECT_EQ(disk.count(), 2U);
  EXPECT_TRUE(bytes_of(disk) == bytes_);
  EXPECT_FALSE(disk.is_read_only());
}

TEST_F(MergedDisk, AnImageIsMergedByItsNameAlone) {
  const std::vector<OpenImage> images = make_chain({"vdi", "vdi", "vdi"});
  const auto merged = merge_image(images[2], {.into = images[0].path});
  ASSERT_TRUE(merged) << merged.error().message();
  EXPECT_EQ(merged->removed.size(), 2U);
  EXPECT_GT(merged->copied, 0U);
  VirtualDisk disk;
  EXPECT_DONE(disk.open(images[0]));
  EXPECT_TRUE(bytes_of(disk) == bytes_);
}

}  // namespace
}  // namespace platter::test
