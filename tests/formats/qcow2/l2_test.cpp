#include "formats/qcow2/l2.h"

#include <gtest/gtest.h>

#include "tests/formats/qcow2/l2_shapes.h"

namespace platter::qcow2 {
namespace {

using test::kCluster;
using test::kExtended;
using test::kPart;
using test::kPlain;

TEST(Qcow2L2, ReadsPlainEntries) {
  EXPECT_EQ(decode(kPlain, {0}, 0).kind, Allocation::Kind::unallocated);
  EXPECT_EQ(decode(kPlain, {kCopied}, 0).kind, Allocation::Kind::unallocated);
  EXPECT_EQ(decode(kPlain, {1}, 0).kind, Allocation::Kind::zero);
  EXPECT_EQ(decode(kPlain, {0x50000 | kCopied | 1}, 0).kind, Allocation::Kind::zero);
  const Allocation data = decode(kPlain, {0x50000 | kCopied}, 100);
  EXPECT_EQ(data.kind, Allocation::Kind::data);
  EXPECT_EQ(data.host, 0x50000U + 100);
  EXPECT_EQ(data.length, kCluster - 100);
}

TEST(Qcow2L2, IgnoresReservedBits) {
  const Allocation data = decode(kPlain, {0x50000 | uint64_t{0x3f} << 56 | 0x1fe}, 0);
  EXPECT_EQ(data.kind, Allocation::Kind::data);
  EXPECT_EQ(data.host, 0x50000U);
}

TEST(Qcow2L2, RejectsAnUnalignedCluster) {
  EXPECT_EQ(decode(kPlain, {0x50200}, 0).kind, Allocation::Kind::invalid);
  EXPECT_EQ(decode(kPlain, {0x50201}, 0).kind, Allocation::Kind::invalid);
}

TEST(Qcow2L2, RejectsAZeroFlagInVersion2) {
  const L2Shape old{.cluster_bits = 16, .version = 2};
  EXPECT_EQ(decode(old, {1}, 0).kind, Allocation::Kind::invalid);
  EXPECT_EQ(decode(old, {0x50001}, 0).kind, Allocation::Kind::invalid);
}

TEST(Qcow2L2, SplitsACompressedEntryByTheClusterSize) {
  struct Case {
    uint32_t cluster_bits, offset_bits;
  };
  for (const auto& [cluster_bits, x] : {Case{9, 61}, {12, 58}, {14, 56}, {16, 54}, {21, 49}}) {
    const L2Shape shape{.cluster_bits = cluster_bits};
    const uint64_t sectors = uint64_t{1} << (cluster_bits - 8);
    const uint64_t word = kCompressed | (sectors - 1) << x | 0x12345;
    const Allocation found = decode(shape, {word}, 7);
    EXPECT_EQ(found.kind, Allocation::Kind::compressed);
    EXPECT_EQ(found.host, 0x12345U);
    EXPECT_EQ(found.stored, sectors * 512 - (0x12345 & 511));
    EXPECT_EQ(found.length, shape.cluster_size() - 7);
  }
}

TEST(Qcow2L2, RejectsACompressedClusterBeyond56Bits) {
  const L2Shape small{.cluster_bits = 9};
  EXPECT_EQ(decode(small, {kCompressed | uint64_t{1} << 56}, 0).kind, Allocation::Kind::invalid);
  EXPECT_EQ(decode(small, {kCompressed | ((uint64_t{1} << 56) - 1)}, 0).kind,
            Allocation::Kind::compressed);
}

TEST(Qcow2L2, TakesOffsetZeroForAllocatedInADataFile) {
  const L2Shape shape{.cluster_bits = 16, .external_data = true};
  EXPECT_EQ(decode(shape, {kCopied}, 0).kind, Allocation::Kind::data);
  EXPECT_EQ(decode(shape, {0}, 0).kind, Allocation::Kind::unallocated);
  EXPECT_EQ(decode(shape, {kCompressed | 512}, 0).kind, Allocation::Kind::invalid);
}

TEST(Qcow2Subclusters, EachHasItsOwnKind) {
  // 0 to 3 data, 4 to 7 zero, 8 on unallocated, the last one data.
  const L2Entry entry{0x50000, 0x000000f0'8000000f};
  const Allocation data = decode(kExtended, entry, kPart + 5);
  EXPECT_EQ(data.kind, Allocation::Kind::data);
  EXPECT_EQ(data.host, 0x50000 + kPart + 5);
  EXPECT_EQ(data.length, 3 * kPart - 5);
  const Allocation zero = decode(kExtended, entry, 6 * kPart);
  EXPECT_EQ(zero.kind, Allocation::Kind::zero);
  EXPECT_EQ(zero.length, 2 * kPart);
  const Allocation none = decode(kExtended, entry, 8 * kPart);
  EXPECT_EQ(none.kind, Allocation::Kind::unallocated);
  EXPECT_EQ(none.length, 23 * kPart);
  const Allocation last = decode(kExtended, entry, kCluster - 1);
  EXPECT_EQ(last.kind, Allocation::Kind::data);
  EXPECT_EQ(last.length, 1U);
}

TEST(Qcow2Subclusters, MayAllBeOfOneKind) {
  EXPECT_EQ(decode(kExtended, {0, 0}, 0).length, kCluster);
  EXPECT_EQ(decode(kExtended, {0x50000, 0}, kPart).kind, Allocation::Kind::unallocated);
  EXPECT_EQ(decode(kExtended, {0x50000, 0}, kPart).length, kCluster - kPart);
  EXPECT_EQ(decode(kExtended, {0x50000, 0xffffffff}, 0).length, kCluster);
  const Allocation zero = decode(kExtended, {0, 0xffffffff'00000000}, 0);
  EXPECT_EQ(zero.kind, Allocation::Kind::zero);
  EXPECT_EQ(zero.length, kCluster);
}

TEST(Qcow2Subclusters, IgnoreTheZeroFlagOfTheCluster) {
  EXPECT_EQ(decode(kExtended, {0x50001, 0xffffffff}, 0).kind, Allocation::Kind::data);
}

TEST(Qcow2Subclusters, RejectAllocatedAndZeroAtOnce) {
  EXPECT_EQ(decode(kExtended, {0x50000, 0x00000010'00000010}, 0).kind, Allocation::Kind::invalid);
}

TEST(Qcow2Subclusters, RejectAllocatedOnesWithoutACluster) {
  EXPECT_EQ(decode(kExtended, {0, 1}, 0).kind, Allocation::Kind::invalid);
}

TEST(Qcow2Subclusters, RejectABitmapBesideACompressedCluster) {
  EXPECT_EQ(decode(kExtended, {kCompressed | 0x50000, 1}, 0).kind, Allocation::Kind::invalid);
  EXPECT_EQ(decode(kExtended, {kCompressed | 0x50000, 0}, 0).kind, Allocation::Kind::compressed);
}

}  // namespace
}  // namespace platter::qcow2
