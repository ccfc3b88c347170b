#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/qcow/image_builder.h"

namespace platter::qcow {
namespace {

using test::Disk;
using test::ImageBuilder;
using test::word_of;
using testing::HasSubstr;

TEST(QcowResize, MovesTheL1TableToTheEndWhenItNeedsMoreEntries) {
  ImageBuilder b(32 * KiB);
  b.l1(0, 512).l2(512, 1, 1024).cluster(1024, 7);
  const auto file = b.file();
  Disk disk(file);
  ASSERT_TRUE(disk.writer().grow(100 * KiB));
  EXPECT_EQ(word_of(*file, 24), 100 * KiB);
  EXPECT_EQ(word_of(*file, 40), 1536u);
  EXPECT_EQ(word_of(*file, 1536), 512u);
  EXPECT_EQ(disk.byte_at(512), 7);
  ASSERT_TRUE(disk.fill({99 * KiB, 512}, 8));
  ASSERT_TRUE(disk.writer().close());
  const Disk again(file);
  EXPECT_EQ(again.byte_at(512), 7);
  EXPECT_EQ(again.byte_at(99 * KiB), 8);
  EXPECT_EQ(again.byte_at(98 * KiB), 0);
  EXPECT_EQ(test::checked(file).corruptions, 0u);
}

TEST(QcowResize, WhatALastClusterAndTableHaveBehindTheEndIsCleared) {
  ImageBuilder b(1024);
  b.header.cluster_bits = 10;
  b.header.size = 512;
  b.l1(0, 1024).l2(1024, 0, 2048).l2(1024, 7, 3072);
  b.cluster(2048, 1).cluster(2560, 2).cluster(3072, 3).cluster(3584, 3);
  const auto file = b.file();
  Disk disk(file);
  ASSERT_TRUE(disk.writer().grow(16 * KiB));
  EXPECT_EQ(word_of(*file, 40), 48u);
  EXPECT_EQ(disk.byte_at(0), 1);
  EXPECT_EQ(disk.byte_at(512), 0);
  EXPECT_EQ(disk.byte_at(7 * 1024), 0);
}

TEST(QcowResize, RefusesWhatItCannotDo) {
  const auto file = ImageBuilder().file();
  Disk disk(file);
  EXPECT_EQ(disk.writer().shrink(512).error().code(), Errc::unsupported);
  EXPECT_EQ(disk.writer().grow(kMaxOffset).error().code(), Errc::invalid);
  Disk child(ImageBuilder().backing("base").file());
  const auto done = child.writer().grow(MiB);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::unsupported);
  EXPECT_THAT(done.error().message(), HasSubstr("backing file"));
}

TEST(QcowResize, RefusesDamagedTables) {
  const auto file = ImageBuilder().l1(0, MiB).file();
  Epochs epochs;
  const auto image = test::open_qcow(file, &epochs);
  ASSERT_TRUE(image);
  EXPECT_EQ((*image)->resize(MiB).error().code(), Errc::corrupt);
  EXPECT_EQ((*image)->size(), 64 * KiB);
}

}  // namespace
}  // namespace platter::qcow
