#include "formats/qcow2/l2_edit.h"

#include <gtest/gtest.h>

#include "tests/formats/qcow2/l2_shapes.h"

namespace platter::qcow2 {
namespace {

using test::kCluster;
using test::kExtended;
using test::kPart;
using test::kPlain;

constexpr L2Shape kVersion2{.version = 2};
constexpr L2Shape kDataFile{.external_data = true};

// A stream at 0x50123 of up to 3 sectors: it touches one cluster, or two at a cluster's end.
L2Entry compressed(uint64_t host, uint64_t more_sectors) {
  return {.word = kCompressed | more_sectors << 54 | host};
}

TEST(L2Edit, AWrittenClusterIsItsOwn) {
  EXPECT_EQ(after_write(kPlain, {}, 0x50000, {0, kCluster}), (L2Entry{.word = kCopied | 0x50000}));
  EXPECT_EQ(after_write(kPlain, {.word = kZeroFlag | kCopied | 0x50000}, 0x50000, {0, kCluster}),
            (L2Entry{.word = kCopied | 0x50000}));
}

TEST(L2Edit, AWrittenSubclusterIsNoLongerZero) {
  const L2Entry old{.word = kCopied | 0x50000, .bitmap = 0xff00'0000'0000'0001};
  const L2Entry now = after_write(kExtended, old, 0x50000, {30 * kPart, 2 * kPart});
  EXPECT_EQ(now, (L2Entry{.word = kCopied | 0x50000, .bitmap = 0x3f00'0000'c000'0001}));
}

TEST(L2Edit, ASubclusterIsWrittenWhole) {
  EXPECT_EQ(unit_to_write(kExtended, {}, {3 * kPart + 5, 10}), (Range{3 * kPart, kPart}));
  EXPECT_EQ(unit_to_write(kPlain, {}, {5, 10}), (Range{0, kCluster}));
}

TEST(L2Edit, ASharedClusterMovesWithAllItHas) {
  const L2Entry shared{.word = 0x50000, .bitmap = 0b0110'0100};
  EXPECT_EQ(unit_to_write(kExtended, shared, {4 * kPart, 1}), (Range{2 * kPart, 5 * kPart}));
  const L2Entry own{.word = kCopied | 0x50000, .bitmap = 0b0110'0100};
  EXPECT_EQ(unit_to_write(kExtended, own, {4 * kPart, 1}), (Range{4 * kPart, kPart}));
  EXPECT_EQ(unit_to_write(kExtended, compressed(0x50123, 2), {4 * kPart, 1}), (Range{0, kCluster}));
}

TEST(L2Edit, AZeroClusterKeepsItsSpaceOrNot) {
  const L2Entry own{.word = kCopied | 0x50000};
  const L2Entry shared{.word = 0x50000};
  const Range whole{0, kCluster};
  EXPECT_EQ(after_zero(kPlain, own, whole, File::Zero::keep_space),
            (L2Entry{.word = kCopied | 0x50000 | kZeroFlag}));
  EXPECT_EQ(after_zero(kPlain, own, whole, File::Zero::free_space), (L2Entry{.word = kZeroFlag}));
  EXPECT_EQ(after_zero(kPlain, shared, whole, File::Zero::keep_space),
            (L2Entry{.word = kZeroFlag}));
  EXPECT_EQ(after_zero(kPlain, compressed(0x50123, 2), whole, File::Zero::keep_space),
            (L2Entry{.word = kZeroFlag}));
  EXPECT_EQ(after_zero(kVersion2, own, whole, File::Zero::free_space), L2Entry{});
}

TEST(L2Edit, TheLastSubclusterToBecomeZeroFreesTheCluster) {
  const L2Entry old{.word = kCopied | 0x50000, .bitmap = 0xffff'fff0'0000'000f};
  const Range three{0, 3 * kPart};
  const L2Entry part = after_zero(kExtended, old, three, File::Zero::free_space);
  EXPECT_EQ(part, (L2Entry{.word = kCopied | 0x50000, .bitmap = 0xffff'fff7'0000'0008}));
  const Range fourth{3 * kPart, kPart};
  EXPECT_EQ(after_zero(kExtended, part, fourth, File::Zero::free_space),
            (L2Entry{.bitmap = 0xffff'ffff'0000'0000}));
  EXPECT_EQ(after_zero(kExtended, part, fourth, File::Zero::keep_space),
            (L2Entry{.word = kCopied | 0x50000, .bitmap = 0xffff'ffff'0000'0000}));
}

TEST(L2Edit, OnlyWholeUnitsBecomeZero) {
  EXPECT_TRUE(unit_to_zero(kPlain, {}, {0, kCluster - 1}).empty());
  EXPECT_TRUE(unit_to_zero(kPlain, {}, {512, kCluster - 512}).empty());
  EXPECT_EQ(unit_to_zero(kExtended, {}, {kPart, 3 * kPart + 7}), (Range{kPart, 3 * kPart}));
  EXPECT_TRUE(unit_to_zero(kExtended, compressed(0x50123, 2), {kPart, kPart}).empty());
}

TEST(L2Edit, AnEntryHoldsTheClustersItsBytesAreIn) {
  EXPECT_EQ(held_by(kPlain, {.word = kCopied | 0x50000}), (Range{0x50000, kCluster}));
  EXPECT_EQ(held_by(kPlain, {.word = kZeroFlag | 0x50000}), (Range{0x50000, kCluster}));
  EXPECT_TRUE(held_by(kPlain, {.word = kZeroFlag}).empty());
  EXPECT_EQ(held_by(kPlain, compressed(0x50123, 2)), (Range{0x50123, 3 * 512 - 0x123}));
  EXPECT_TRUE(held_by(kDataFile, {.word = kCopied | 0x50000}).empty());
}

TEST(L2Edit, ACompressedOrSharedClusterIsNotOwned) {
  EXPECT_FALSE(owns_cluster(kPlain, compressed(0x50000, 0)));
  EXPECT_FALSE(owns_cluster(kPlain, {.word = 0x50000}));
  EXPECT_TRUE(owns_cluster(kPlain, {.word = kCopied | kZeroFlag | 0x50000}));
  EXPECT_TRUE(owns_cluster(kDataFile, {.word = kCopied}));
  EXPECT_FALSE(owns_cluster(kPlain, {.word = kCopied}));
}

}  // namespace
}  // namespace platter::qcow2
