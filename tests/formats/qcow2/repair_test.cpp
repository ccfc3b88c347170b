#include "formats/qcow2/repair.h"

#include <optional>

#include <gmock/gmock.h>

#include "tests/formats/qcow2/check_image.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::qcow2 {
namespace {

using test::bytes_of_file;
using test::check_file;
using test::checked;
using test::disk_of;
using test::ImageBuilder;
using test::repaired;
using test::RichImage;
using test::word_of;
using testing::Contains;
using testing::HasSubstr;

void expect_sound(const FilePtr& file) {
  const CheckReport report = checked(file);
  EXPECT_EQ(report.corruptions + report.leaks, 0U);
  EXPECT_THAT(report.messages, testing::IsEmpty());
}

// All of it is mended, and both states of the disk read as before.
FilePtr expect_mended(const RichImage& b) {
  const FilePtr file = b.file();
  const auto disk = disk_of(file), snapshot = disk_of(file, 1);
  EXPECT_TRUE(disk && snapshot);
  const CheckReport before = checked(file);
  EXPECT_GT(before.corruptions + before.leaks, 0U);
  const CheckReport report = repaired(file);
  EXPECT_EQ(report.corruptions + report.leaks, 0U) << testing::PrintToString(report.messages);
  EXPECT_EQ(report.repaired, before.corruptions + before.leaks);
  expect_sound(file);
  const auto disk_after = disk_of(file), snapshot_after = disk_of(file, 1);
  EXPECT_TRUE(disk_after && *disk_after == *disk);
  EXPECT_TRUE(snapshot_after && *snapshot_after == *snapshot);
  return file;
}

TEST(Qcow2Repair, ChangesNoByteOfASoundImage) {
  for (const Repair how : {Repair::leaks, Repair::all}) {
    const FilePtr file = RichImage().file();
    const auto before = bytes_of_file(*file);
    repaired(file, how);
    EXPECT_EQ(bytes_of_file(*file), before);
  }
}

TEST(Qcow2Repair, OfLeaksLowersRefcountsInPlace) {
  RichImage b;
  b.bytes.resize(13 * b.cs);
  b.set_refcount(12, 1);
  b.set_refcount(11, 5);
  b.set_refcount(5, 2);  // its COPIED flag is right when this is
  const FilePtr file = b.file();
  const CheckReport report = repaired(file, Repair::leaks);
  EXPECT_EQ(report.repaired, 4U);
  expect_sound(file);
  EXPECT_EQ(file->stat()->size, 13 * b.cs) << "no new refcounts were needed";
}

TEST(Qcow2Repair, OfLeaksSetsCopiedFlags) {
  RichImage b;
  b.set_refcount(5, 2);
  b.set_l2(0, 5 * b.cs);
  const FilePtr file = b.file();
  EXPECT_EQ(checked(file).corruptions, 0U);
  repaired(file, Repair::leaks);
  expect_sound(file);
  EXPECT_EQ(word_of(*file, 4 * b.cs), 5 * b.cs | kCopied);
}

TEST(Qcow2Repair, OfLeaksLeavesWorseThingsAlone) {
  RichImage low, entry;
  low.set_refcount(11, 1);
  entry.set_l2(5, 4000 * entry.cs | kCopied);
  for (RichImage* b : {&low, &entry}) {
    b->set_refcount(10, 9);
    const FilePtr file = b->file();
    const auto before = bytes_of_file(*file);
    const auto report = check_file(file, Repair::leaks);
    ASSERT_FALSE(report);
    EXPECT_THAT(report.error().message(), HasSubstr("--repair all"));
    EXPECT_EQ(bytes_of_file(*file), before);
  }
}

TEST(Qcow2Repair, CountsEverythingAnew) {
  for (uint32_t order = 2; order <= 6; ++order) {
    for (const uint32_t version : {2U, 3U}) {
      if (version == 2 && order != 4) continue;
      RichImage b(version);
      b.header.refcount_order = order;
      b.fill(2 * b.cs, b.cs, 0);
      expect_mended(b);
    }
  }
  RichImage none;
  none.put64(none.cs, 0);
  expect_mended(none);
  RichImage reserved;
  reserved.put64(reserved.cs, 2 * reserved.cs | 8);
  expect_mended(reserved);
}

TEST(Qcow2Repair, CountsManyClustersWithManyBlocks) {
  // A block counts 64 clusters of 512 bytes when a refcount has 64 bits.
  ImageBuilder b(3, 9, 64);
  b.header.refcount_order = 6;
  b.fill(2 * b.cs, b.cs, 0);
  for (uint64_t i = 1; i < 64; ++i) {
    b.set_l2(i, 100 * i * b.cs | kCopied);
    b.fill(100 * i * b.cs, b.cs, static_cast<uint8_t>(i));
  }
  const FilePtr file = b.file();
  const auto disk = disk_of(file);
  const CheckReport report = repaired(file);
  EXPECT_EQ(report.corruptions + report.leaks, 0U) << testing::PrintToString(report.messages);
  expect_sound(file);
  EXPECT_EQ(*disk_of(file), *disk);
}

TEST(Qcow2Repair, FindsAPlaceForATableThatCannotBe) {
  for (const uint64_t offset : {uint64_t{5}, uint64_t{0}, uint64_t{1} << 40}) {
    RichImage b;
    b.header.refcount_table_offset = offset;
    const FilePtr file = b.file();
    EXPECT_FALSE(disk_of(file));
    EXPECT_EQ(repaired(file).corruptions, 0U);
    expect_sound(file);
    EXPECT_TRUE(disk_of(file));
  }
}

TEST(Qcow2Repair, LetsTwoOwnersShareAClusterUntilOneIsWritten) {
  RichImage b;
  b.set_l2(7, 5 * b.cs | kCopied);
  const FilePtr file = expect_mended(b);
  EXPECT_EQ(word_of(*file, 4 * b.cs), 5 * b.cs) << "both are copied when they are written";
  EXPECT_EQ(word_of(*file, 4 * b.cs + 56), 5 * b.cs);
  RichImage table;
  table.set_l2(7, 4 * table.cs | kCopied);
  repaired(table.file());
}

TEST(Qcow2Repair, MovesAnL1TableThatSharesItsCluster) {
  RichImage b;
  b.set_l2(7, 3 * b.cs | kCopied);
  const FilePtr file = b.file();
  const auto disk = *disk_of(file);
  EXPECT_EQ(repaired(file).corruptions, 0U);
  expect_sound(file);
  EXPECT_NE(word_of(*file, 40), 3 * b.cs);
  EXPECT_EQ(*disk_of(file), disk) << "what was in the table's cluster is data now";
  EXPECT_EQ(word_of(*file, 4 * b.cs + 56), 3 * b.cs | kCopied);
}

TEST(Qcow2Repair, MovesRefcountsOutOfSharedClusters) {
  for (const uint64_t cluster : {uint64_t{1}, uint64_t{2}}) {
    RichImage b;
    b.set_l2(7, cluster * b.cs | kCopied);
    expect_mended(b);
  }
}

TEST(Qcow2Repair, NeverWritesIntoATableThatIsAlsoSomethingElse) {
  // The second L1 entry points at guest data.
  ImageBuilder b(3, 9, 128);
  b.put64(3 * b.cs + 8, 5 * b.cs | kCopied);
  for (uint64_t i = 0; i < 64; ++i) b.put64(5 * b.cs + 8 * i, 0x4141'4141'4141'4100 + i);
  const FilePtr file = b.file();
  const auto data = test::read(**b.open(), {0, b.cs});
  ASSERT_TRUE(data);
  const CheckReport report = repaired(file);
  EXPECT_GT(report.corruptions, 0U);
  EXPECT_THAT(report.messages, Contains(HasSubstr("not repaired: L1 table entry 1: L2 entry")));
  std::vector<std::byte> after(b.cs);
  ASSERT_TRUE(file->read_exact(5 * b.cs, after));
  EXPECT_EQ(after, *data);
  for (const std::string& message : checked(file).messages) {
    EXPECT_THAT(message, HasSubstr("L1 table entry 1: L2 entry")) << "nothing else is left";
  }
}

TEST(Qcow2Repair, PutsNothingWhereATableThatIsLeftAlonePoints) {
  // The snapshot's L2 table is guest data, too, and points behind the file, where new refcounts
  // would go.
  RichImage b;
  b.set_l2(5, 8 * b.cs | kCopied);
  for (uint64_t i = 0; i < 4; ++i) b.put64(8 * b.cs + 64 + 8 * i, (12 + i) * b.cs | kCopied);
  b.set_refcount(9, 0);
  const FilePtr file = b.file();
  const auto disk = disk_of(file);
  ASSERT_TRUE(disk);
  const uint64_t before = checked(file).corruptions;
  const CheckReport report = repaired(file);
  EXPECT_LT(report.corruptions, before) << testing::PrintToString(report.messages);
  const Result<std::vector<std::byte>> after = disk_of(file);
  EXPECT_TRUE(after && *after == *disk);
  EXPECT_GE(word_of(*file, 48), 16 * b.cs) << "the refcount table";
}

TEST(Qcow2Repair, LetsGoOfWhatIsPastTheEndOfTheFile) {
  RichImage b;
  b.set_l2(5, 4000 * b.cs | kCopied);
  b.set_l2(6, kCompressed | 4000 * b.cs);
  b.put64(7 * b.cs, 9000 * b.cs);
  const FilePtr file = b.file();
  EXPECT_FALSE(disk_of(file));
  EXPECT_EQ(repaired(file).corruptions, 0U);
  expect_sound(file);
  EXPECT_EQ(word_of(*file, 4 * b.cs + 40), kZeroFlag);
  EXPECT_EQ(word_of(*file, 4 * b.cs + 48), kZeroFlag);
  EXPECT_EQ(word_of(*file, 7 * b.cs), 0U);
  EXPECT_TRUE(disk_of(file));
}

TEST(Qcow2Repair, ClearsFlagsAndBitsThatMayNotBe) {
  RichImage b;
  b.put64(3 * b.cs, 4 * b.cs | kCopied | 6);
  b.set_l2(0, 5 * b.cs | 2);
  b.set_l2(2, kCopied | kCompressed | uint64_t{1} << 60 | 10 * b.cs);
  b.set_l2(3, 11 * b.cs | kCopied);
  const FilePtr file = expect_mended(b);
  EXPECT_EQ(word_of(*file, 3 * b.cs), 4 * b.cs | kCopied);
  EXPECT_EQ(word_of(*file, 4 * b.cs), 5 * b.cs | kCopied);
  EXPECT_EQ(word_of(*file, 4 * b.cs + 24), 11 * b.cs);
  RichImage old(2);
  old.set_l2(0, 5 * old.cs | kCopied | kZeroFlag);
  const FilePtr repaired_old = old.file();
  EXPECT_EQ(repaired(repaired_old).corruptions, 0U);
  EXPECT_EQ(disk_of(repaired_old)->front(), std::byte{0xd5});
}

TEST(Qcow2Repair, ResetsAnUnalignedClusterThatHoldsNothing) {
  RichImage b;
  b.set_l2(5, (9 * b.cs + 512) | kZeroFlag);
  const FilePtr file = b.file();
  EXPECT_EQ(repaired(file).corruptions, 0U);
  EXPECT_EQ(word_of(*file, 4 * b.cs + 40), kZeroFlag);
  expect_sound(file);
}

TEST(Qcow2Repair, LeavesAnUnalignedClusterThatHoldsDataAndKeepsItsBytesInUse) {
  RichImage b;
  b.set_l2(5, (9 * b.cs + 512) | kCopied);
  const FilePtr file = b.file();
  const CheckReport report = repaired(file);
  EXPECT_EQ(report.corruptions, 1U);
  EXPECT_EQ(report.leaks, 0U);
  EXPECT_THAT(report.messages, Contains(HasSubstr("not repaired: L1 table entry 0: L2 entry 5")));
}

TEST(Qcow2Repair, FreesNothingThatAnUnreadableTableMayPointAt) {
  RichImage b;
  b.put64(7 * b.cs, 8 * b.cs + 512);  // the snapshot's L1 entry: 9 and 11 seem to be unused
  b.set_refcount(10, 0);
  const FilePtr file = b.file();
  const CheckReport report = repaired(file);
  EXPECT_EQ(report.corruptions, 1U);
  EXPECT_GT(report.leaks, 0U);
  const auto image = load_for_check(*file);
  auto stored = StoredRefcounts::load(*file, image->header, nullptr);
  EXPECT_EQ(*stored->get(9), 1U);
  EXPECT_EQ(*stored->get(10), 1U);
  EXPECT_EQ(*stored->get(11), 2U);
}

TEST(Qcow2Repair, CutsOffSnapshotsThatCannotBeFollowedAndFreesNothingOfTheirs) {
  RichImage b;
  b.put(6 * b.cs + 36, be32(5000));
  const FilePtr file = b.file();
  EXPECT_FALSE(disk_of(file));
  const CheckReport report = repaired(file);
  EXPECT_EQ(report.corruptions, 0U);
  EXPECT_EQ(report.leaks, 5U) << "the table, L1, L2, a cluster, a share of another";
  EXPECT_TRUE(disk_of(file));
  EXPECT_EQ(word_of(*file, 64), 0U);
  repaired(file, Repair::leaks);
  expect_sound(file);
}

TEST(Qcow2Repair, DropsBitmapsThatCannotBeFollowed) {
  ImageBuilder b;
  RawBitmaps raw;
  raw.count = 1;
  raw.directory_size = 32;
  raw.directory_offset = 3 * b.cs;  // the L1 table's
  b.header.autoclear_features = kBitmapsValid | 0x100;
  b.extension(ExtensionType::bitmaps, {reinterpret_cast<const char*>(&raw), sizeof raw});
  const FilePtr file = b.file();
  EXPECT_EQ(repaired(file).corruptions, 0U);
  EXPECT_EQ(word_of(*file, 88), 0U) << "and the bit nobody here knows";
  expect_sound(file);
}

TEST(Qcow2Repair, ClearsTheMarksWhenNothingIsLeft) {
  for (const bool wrong : {false, true}) {
    RichImage b;
    b.incompatible(Incompatible::dirty);
    b.incompatible(Incompatible::corrupt);
    if (wrong) b.set_l2(5, (9 * b.cs + 512) | kCopied);
    const FilePtr file = b.file();
    repaired(file);
    EXPECT_EQ(word_of(*file, 72), wrong ? 3U : 0U);
  }
  RichImage dirty;
  dirty.incompatible(Incompatible::dirty);
  const FilePtr file = dirty.file();
  EXPECT_EQ(repaired(file, Repair::leaks).repaired, 0U);
  EXPECT_EQ(word_of(*file, 72), 0U);
}

TEST(Qcow2Repair, SaysThatARefcountHasNoRoom) {
  ImageBuilder b;
  b.header.refcount_order = 0;
  b.fill(2 * b.cs, b.cs, 0);
  b.fill(2 * b.cs, 1, 0x3f);
  b.set_l2(1, 5 * b.cs | kCopied);
  const FilePtr file = b.file();
  const auto before = bytes_of_file(*file);
  const CheckReport report = repaired(file);
  EXPECT_EQ(report.corruptions, 1U);
  EXPECT_THAT(report.messages,
              Contains("not repaired: cluster 0xa00: is used 2 times, refcounts of this image end "
                       "at 1"));
  EXPECT_EQ(bytes_of_file(*file), before);
}

TEST(Qcow2Repair, LeavesTheOldRefcountsWhenThereIsNoSpaceForNewOnes) {
  RichImage b;
  b.set_refcount(11, 1);
  const FilePtr memory = b.file();
  const auto before = bytes_of_file(*memory);
  // The third write is the header's.
  for (uint64_t n = 1; n <= 2; ++n) {
    uint64_t writes = 0;
    const auto full = std::make_shared<platter::test::WrappedFile>(
        memory, [&](platter::test::Call call) -> Result<void> {
          if (call != platter::test::Call::write || ++writes < n) return {};
          return Error(Errc::no_space, "no space");
        });
    const auto report = check_file(full, Repair::all);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code(), Errc::no_space);
    EXPECT_EQ(bytes_of_file(*memory), before);
  }
}

struct Before {
  explicit Before(const FilePtr& file)
      : disk(disk_of(file)), snapshot(disk_of(file, 1)), corruptions(checked(file).corruptions) {}

  // What of it is worse in this file; empty: nothing.
  std::string worse(const FilePtr& after) const {
    const auto now = disk_of(after), then = disk_of(after, 1);
    if (disk && (!now || *now != *disk)) return "the disk differs";
    if (snapshot && (!then || *then != *snapshot)) return "the snapshot differs";
    const CheckReport report = checked(after);
    if (report.corruptions <= corruptions) return {};
    return "more is corrupt: " + testing::PrintToString(report.messages);
  }

  Result<std::vector<std::byte>> disk, snapshot;
  uint64_t corruptions;
};

// Power is lost before every call of a repair. skip: the number of a sync that is left out. Empty,
// or what was worse.
std::string worst_after_power_cut(const ImageBuilder& b, std::optional<unsigned> skip = {}) {
  std::mt19937_64 random(1);
  const Before before(b.file());
  const auto crashing = std::make_shared<platter::test::CrashFile>();
  EXPECT_TRUE(crashing->write(0, bytes_of_file(*b.file())));
  EXPECT_TRUE(crashing->sync());
  FilePtr file = crashing;
  if (skip) file = std::make_shared<platter::test::SkipSync>(crashing, 1000, *skip);
  const int draws = skip ? 200 : 20;
  std::string worse;
  const auto look = [&](platter::test::Call call) -> Result<void> {
    for (int i = 0; i < draws && call != platter::test::Call::read && worse.empty(); ++i) {
      worse = before.worse(crashing->crash(random));
    }
    return {};
  };
  EXPECT_TRUE(check_file(std::make_shared<platter::test::WrappedFile>(file, look), Repair::all));
  if (worse.empty()) worse = before.worse(crashing->crash(random));
  if (!skip) expect_sound(crashing->crash(random));
  return worse;
}

void expect_never_worse(const ImageBuilder& b) { EXPECT_EQ(worst_after_power_cut(b), ""); }

TEST(Qcow2Repair, LosesNothingWhenItIsCutShort) {
  RichImage leak;
  leak.set_refcount(5, 3);
  expect_never_worse(leak);
  RichImage low;
  low.set_refcount(11, 1);
  low.set_refcount(4, 0);
  expect_never_worse(low);
  RichImage none;
  none.header.refcount_table_clusters = 1;
  none.put64(none.cs, 0);
  expect_never_worse(none);
  RichImage owners;
  owners.set_l2(7, 5 * owners.cs | kCopied);
  owners.set_l2(8, 9 * owners.cs | kCopied);
  expect_never_worse(owners);
  RichImage outside;
  outside.set_l2(9, 13 * outside.cs | kCopied);
  outside.put64(7 * outside.cs, 8 * outside.cs | 4);
  expect_never_worse(outside);
  RichImage bitmaps;
  test::add_bitmap(bitmaps, RichImage::kClusters);
  bitmaps.put64((RichImage::kClusters + 1) * bitmaps.cs + 8, 6);
  expect_never_worse(bitmaps);
  RichImage flags;
  flags.set_l2(0, 5 * flags.cs);
  flags.set_l2(3, 11 * flags.cs | kCopied);
  flags.put64(3 * flags.cs, 4 * flags.cs);
  expect_never_worse(flags);
}

RichImage with_shared_l1() {
  RichImage b;
  b.put64(8 * b.cs + 40, 3 * b.cs);  // the snapshot's guest cluster 5
  return b;
}

TEST(Qcow2Repair, LosesNothingWhenItIsCutShortWhileTheL1TableMoves) {
  expect_never_worse(with_shared_l1());
}

// The syncs of a repair, from 0: header fields, new refcounts, the switch to them, the L1 table in
// its new place, and so on.
TEST(Qcow2Repair, TheSearchNoticesWhenASyncIsMissing) {
  RichImage bitmaps;
  test::add_bitmap(bitmaps, RichImage::kClusters);
  bitmaps.put64((RichImage::kClusters + 1) * bitmaps.cs + 8, 6);
  EXPECT_NE(worst_after_power_cut(bitmaps, 0), "") << "bitmaps dropped, before their refcounts";
  RichImage low;
  low.set_refcount(11, 1);
  low.set_refcount(4, 0);
  EXPECT_NE(worst_after_power_cut(low, 1), "") << "new refcounts, before the switch";
  EXPECT_NE(worst_after_power_cut(with_shared_l1(), 3), "") << "the L1 table, before the switch";
}

}  // namespace
}  // namespace platter::qcow2
