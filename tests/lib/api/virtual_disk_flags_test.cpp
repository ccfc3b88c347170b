// How an image is open decides what is done with it.
#include <filesystem>

#include <gtest/gtest.h>

#include "tests/lib/api/virtual_disk_fixture.h"

namespace platter::test {
namespace {

uint64_t allocated(const VirtualDisk& disk) {
  const auto facts = disk.facts(disk.count() - 1);
  EXPECT_TRUE(facts);
  return facts->file_size;
}

TEST_F(VirtualDiskTest, AChildIsNotTheLowestImageUnlessItIsOnlyAskedWhatItSays) {
  const std::vector<OpenImage> images = make_chain({"vdi", "qcow2"});
  VirtualDisk disk;
  expect_failure(disk.open(images[1]), Errc::invalid, "has a parent");
  EXPECT_EQ(disk.count(), 0U);
  OpenImage info = images[1];
  info.flags.info = true;
  EXPECT_DONE(disk.open(info));
  EXPECT_TRUE(disk.facts(0)->has_parent);
  std::byte one{};
  expect_failure(disk.read(0, {&one, 1}), Errc::invalid, "what it says of itself");
  expect_failure(disk.open(images[1]), Errc::invalid, "is alone");
}

TEST_F(VirtualDiskTest, AFileThatCannotBeWrittenIsRead) {
  const std::vector<OpenImage> images = make_chain({"vdi"});
  VirtualDisk writer, second;
  EXPECT_DONE(writer.open({.path = images[0].path, .flags = {.read_only = true}}));
  EXPECT_DONE(second.open(images[0]));  // somebody reads it: it cannot be had alone
  EXPECT_TRUE(second.is_read_only());
  expect_failure(second.write(0, pattern(0, 1, 1)), Errc::read_only, "0.vdi");
  EXPECT_TRUE(bytes_of(second) == bytes_);
}

TEST_F(VirtualDiskTest, ReadOnlyChangesNoByteOfAnyFile) {
  for (const char* format : {"vdi", "vmdk", "vhd", "vhdx", "qcow2", "qcow"}) {
    VirtualDisk disk;
    const std::string name = path(std::string("r.") + format);
    EXPECT_DONE(disk.create_base({.path = name, .format = format, .size = kChainDisk}));
    EXPECT_DONE(disk.write(0, pattern(0, kChainDisk / 2, 1)));
    EXPECT_DONE(disk.close_all());
    const std::string before = read_file(name);
    EXPECT_DONE(disk.open({.path = name, .flags = {.read_only = true}}));
    EXPECT_TRUE(disk.is_read_only());
    (void)bytes_of(disk);
    expect_failure(disk.resize(2 * kChainDisk), Errc::read_only, name);
    expect_failure(disk.set(0, {{"comment", "x"}}), Errc::read_only, name);
    EXPECT_DONE(disk.flush());
    EXPECT_DONE(disk.close_all());
    EXPECT_TRUE(before == read_file(name)) << format;
  }
}

TEST_F(VirtualDiskTest, ZeroesTakeSpaceOnlyWhenTheyAreHonoured) {
  for (const bool honor : {false, true}) {
    VirtualDisk disk;
    EXPECT_DONE(disk.create_base({.path = path(honor ? "a.vdi" : "b.vdi"),
                                  .format = "vdi",
                                  .size = kChainDisk,
                                  .flags = {.honor_zeroes = honor}}));
    const uint64_t before = allocated(disk);
    EXPECT_DONE(disk.write(0, std::vector<std::byte>(MiB)));
    EXPECT_DONE(disk.flush());
    EXPECT_EQ(allocated(disk) > before, honor);
  }
}

TEST_F(VirtualDiskTest, WhatTheParentShowsTakesSpaceOnlyWhenThatIsHonoured) {
  for (const bool honor : {false, true}) {
    VirtualDisk disk;
    const std::string name = honor ? "honor" : "leave";
    EXPECT_DONE(
        disk.create_base({.path = path(name + ".vdi"), .format = "vdi", .size = kChainDisk}));
    EXPECT_DONE(disk.write(0, pattern(0, 2 * MiB, 1)));
    EXPECT_DONE(disk.create_child(
        {.path = path(name + "1.vdi"), .format = "vdi", .flags = {.honor_same = honor}}));
    const uint64_t before = allocated(disk);
    EXPECT_DONE(disk.write(0, pattern(0, MiB, 1)));
    EXPECT_DONE(disk.flush());
    EXPECT_EQ(allocated(disk) > before, honor);
    EXPECT_DONE(disk.write(MiB, pattern(0, 512, 2)));
    EXPECT_DONE(disk.flush());
    EXPECT_GT(allocated(disk), before);
  }
}

TEST_F(VirtualDiskTest, DiscardsOnlyWhereTheFlagAllowsIt) {
  VirtualDisk disk;
  EXPECT_DONE(disk.create_base({.path = path("d.qcow2"), .format = "qcow2", .size = kChainDisk}));
  EXPECT_DONE(disk.write(0, pattern(0, kChainDisk, 1)));
  const ByteRange half{.offset = MiB, .length = 2 * MiB};
  expect_failure(disk.discard({&half, 1}), Errc::unsupported, "OpenFlags::discard");
  EXPECT_DONE(disk.set_flags(0, {.discard = true}));
  const ByteRange ranges[] = {half, {.offset = kChainDisk - 1, .length = 2}};
  expect_failure(disk.discard(ranges), Errc::out_of_range, "outside the disk");
  EXPECT_TRUE(bytes_of(disk) == pattern(0, kChainDisk, 1));
  EXPECT_DONE(disk.discard({&half, 1}));
  std::vector<std::byte> wanted = pattern(0, kChainDisk, 1);
  std::fill_n(wanted.begin() + MiB, 2 * MiB, std::byte{0});
  EXPECT_TRUE(bytes_of(disk) == wanted);
  const auto run = disk.map({.offset = MiB, .length = kChainDisk - MiB});
  ASSERT_TRUE(run);
  EXPECT_NE(run->kind, DiskRun::Kind::data);
}

TEST_F(VirtualDiskTest, ShareableTakesNoLock) {
  VirtualDisk first, second, third;
  EXPECT_DONE(first.create_base(
      {.path = path("s.vdi"), .format = "vdi", .size = kChainDisk, .variant = "static"}));
  // Locked by the first: only to be read by others, and not even that.
  EXPECT_FALSE(second.open({.path = path("s.vdi")}));
  EXPECT_DONE(second.open({.path = path("s.vdi"), .flags = {.shareable = true}}));
  EXPECT_FALSE(second.is_read_only());
  EXPECT_DONE(second.write(100, pattern(0, 100, 1)));
  EXPECT_TRUE(bytes_of(first) == bytes_of(second));
}

TEST_F(VirtualDiskTest, SequentialReadsTheSame) {
  const std::vector<OpenImage> images = make_chain({"vdi", "qcow2"});
  VirtualDisk disk;
  EXPECT_DONE(disk.open_chain({.path = images[1].path, .flags = {.sequential = true}}));
  EXPECT_TRUE(disk.facts(1)->flags.sequential);
  EXPECT_TRUE(bytes_of(disk) == bytes_);
}

TEST_F(VirtualDiskTest, FlagsChangeWhileImagesAreOpen) {
  const std::vector<OpenImage> images = make_chain({"vdi"});
  VirtualDisk disk;
  EXPECT_DONE(disk.open(images[0]));
  EXPECT_DONE(disk.write(9, pattern(9, 100, 8)));
  EXPECT_DONE(disk.set_flags(0, {.read_only = true}));
  EXPECT_TRUE(disk.is_read_only());
  std::vector<std::byte> seen(100);
  EXPECT_DONE(disk.read(9, seen));
  EXPECT_TRUE(seen == pattern(9, 100, 8));
  EXPECT_DONE(disk.set_flags(0, {.honor_zeroes = true}));
  EXPECT_FALSE(disk.is_read_only());
  EXPECT_TRUE(disk.facts(0)->flags.honor_zeroes);
  expect_failure(disk.set_flags(0, {.info = true}), Errc::invalid, "does not change");
  // What cannot be opened any more is closed, and says so.
  std::filesystem::remove(images[0].path);
  EXPECT_FALSE(disk.set_flags(0, {.read_only = true}));
  EXPECT_EQ(disk.count(), 0U);
}

}  // namespace
}  // namespace platter::test
