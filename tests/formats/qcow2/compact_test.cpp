// Images whose clusters lie side by side afterwards, whatever happens on the way; and what keeps
// one from it.
#include "formats/qcow2/compact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/qcow2/bitmaps.h"
#include "lib/io/posix_file.h"
#include "tests/formats/qcow2/scattered_image.h"
#include "tests/support/compaction.h"
#include "tests/support/open_disk.h"
#include "tests/support/qemu.h"
#include "tests/support/rounds.h"
#include "tests/support/same_bytes.h"
#include "tests/support/snapshots.h"
#include "tests/support/test_keys.h"

namespace platter::qcow2 {
namespace {

using platter::test::OpenDisk;
using test::ImageBuilder;
using test::ScatteredImage;
using testing::HasSubstr;

Result<ImagePtr> open_image(const FilePtr& file, Epochs* epochs, KeySource* keys = nullptr) {
  const auto denied = deny_resolver("the image is alone");
  return find_format("qcow2")->open({.file = file,
                                     .resolver = *denied,
                                     .tables = std::make_shared<PageCache>(MiB),
                                     .writable = epochs != nullptr,
                                     .epochs = epochs,
                                     .keys = keys});
}

Result<void> compact_file(const FilePtr& file, Progress& progress) {
  Epochs epochs;
  const auto image = TRY(open_image(file, &epochs, platter::test::test_keys()));
  return image->compact(progress);
}

void must_compact(const FilePtr& file) {
  NoProgress progress;
  platter::test::expect_done(compact_file(file, progress));
}

// The clusters of its bitmaps that have bits.
std::vector<std::byte> bits_of_bitmaps(const File& file) {
  std::vector<std::byte> bits;
  const auto header = parse_header(file);
  if (!header) return bits;
  const auto add = [&](const BitmapEntry& entry) -> Result<bool> {
    for (uint64_t i = 0; i < entry.raw.table_size; ++i) {
      const uint64_t word = test::word_of(file, entry.raw.table_offset + 8 * i);
      if ((word & kOffsetMask) == 0) continue;
      std::vector<std::byte> cluster(header->cluster_size());
      TRY(file.read_padded(word & kOffsetMask, cluster));
      bits.insert(bits.end(), cluster.begin(), cluster.end());
    }
    return true;
  };
  EXPECT_TRUE(header->bitmaps == 0 || for_each_bitmap(file, *header, add));
  return bits;
}

// The disk, its snapshots, its bitmaps, one behind the other.
std::vector<std::byte> everything_in(const FilePtr& file) {
  const auto image = open_image(file, nullptr, platter::test::test_keys());
  EXPECT_TRUE(image) << image.error().message();
  if (!image) return {};
  std::vector<SnapshotId> states{0};
  for (const SnapshotInfo& snapshot : (*image)->snapshots()) states.push_back(snapshot.id);
  std::vector<std::byte> all;
  for (const SnapshotId state : states) {
    const auto disk = test::read(**image, {0, (*image)->size(state)}, state);
    EXPECT_TRUE(disk) << disk.error().message();
    if (disk) all.insert(all.end(), disk->begin(), disk->end());
  }
  const auto bits = bits_of_bitmaps(*file);
  all.insert(all.end(), bits.begin(), bits.end());
  return all;
}

uint64_t leaks_and_faults(const FilePtr& file) {
  const CheckReport report = test::checked(file);
  return report.leaks + report.corruptions;
}

struct Scattered {
  std::string name;
  FilePtr file;
  uint64_t clusters;  // that it has afterwards
  friend void PrintTo(const Scattered& c, std::ostream* out) { *out << c.name; }
};

std::vector<Scattered> scattered_images() {
  const uint64_t all = ScatteredImage::kUsed - 1;
  return {{"Version3", ScatteredImage(3).file(), all},
          {"Version2", ScatteredImage(2, false).file(), all - ScatteredImage::kUsedByBitmap}};
}

class Qcow2Compact : public testing::TestWithParam<Scattered> {
 protected:
  platter::test::Look same_image() const {
    return [this](const FilePtr& file) {
      EXPECT_TRUE(platter::test::same(everything_in(file), before_));
      const CheckReport report = test::checked(file);
      EXPECT_EQ(report.corruptions, 0U) << testing::PrintToString(report.messages);
    };
  }
  const File& start() const { return *GetParam().file; }
  std::shared_ptr<MemoryFile> copy() const {
    return std::make_shared<MemoryFile>("copy", test::bytes_of_file(start()));
  }

  const std::vector<std::byte> before_ = everything_in(GetParam().file);
};

TEST_P(Qcow2Compact, EndsTheFileBehindWhatItHolds) {
  const auto file = copy();
  must_compact(file);
  same_image()(file);
  EXPECT_EQ(leaks_and_faults(file), 0U);
  EXPECT_EQ(file->stat()->size, GetParam().clusters * 512);
}

TEST_P(Qcow2Compact, OnceMoreChangesNoByte) {
  const auto file = copy();
  must_compact(file);
  const auto no_change = [](platter::test::Call call) -> Result<void> {
    EXPECT_TRUE(call == platter::test::Call::read || call == platter::test::Call::sync);
    return {};
  };
  must_compact(std::make_shared<platter::test::WrappedFile>(file, no_change));
}

// What takes longer, with the one that has all there is.
class Qcow2CompactDisturbed : public Qcow2Compact {};

TEST_P(Qcow2CompactDisturbed, SurvivesAPowerCutAtAnyMoment) {
  platter::test::compact_while_power_is_lost(start(), compact_file, same_image(),
                                             platter::test::rounds(2, 100), 3);
}

TEST_P(Qcow2CompactDisturbed, SurvivesAnyFailingCall) {
  platter::test::compact_while_calls_fail(start(), compact_file, same_image());
}

TEST_P(Qcow2CompactDisturbed, CancelledAtAnyStepHasTheSameDiskAndNoLeaks) {
  const auto look = [this](const FilePtr& file) {
    same_image()(file);
    EXPECT_EQ(test::checked(file).leaks, 0U);
  };
  const auto mended = copy();
  (void)test::repaired(mended, Repair::leaks);
  platter::test::compact_while_cancelled(*mended, compact_file, look);
}

INSTANTIATE_TEST_SUITE_P(Images, Qcow2Compact, testing::ValuesIn(scattered_images()),
                         [](const auto& test) { return test.param.name; });
INSTANTIATE_TEST_SUITE_P(Images, Qcow2CompactDisturbed, testing::Values(scattered_images().front()),
                         [](const auto& test) { return test.param.name; });

TEST(CompactedImage, CanBeWrittenTo) {
  const FilePtr file = ScatteredImage().file();
  must_compact(file);
  auto wanted = *test::disk_of(file);
  const auto snapshot = *test::disk_of(file, 1);
  std::fill(wanted.begin(), wanted.begin() + 20000, std::byte{7});
  {
    OpenDisk disk([&](Epochs& epochs) { return open_image(file, &epochs); });
    ASSERT_TRUE(disk.fill({0, 20000}, 7));
    ASSERT_TRUE(disk.writer().close());
  }
  EXPECT_TRUE(*test::disk_of(file) == wanted);
  EXPECT_TRUE(*test::disk_of(file, 1) == snapshot);
  EXPECT_EQ(leaks_and_faults(file), 0U);
}

TEST(CompactedImage, LosesUnknownAutoclearFeatures) {
  ScatteredImage b;
  b.header.autoclear_features = kBitmapsValid | 1 << 7;
  const FilePtr file = b.file();
  must_compact(file);
  EXPECT_EQ(parse_header(*file)->autoclear, kBitmapsValid);
}

// Of two clusters each: a bitmap's table that has a place, and one that has none.
TEST(CompactedImage, HasTablesOfSeveralClustersWhereThereIsRoom) {
  for (const bool room : {true, false}) {
    ImageBuilder b(3, 9);
    test::add_bitmap(b, 20);
    b.put(20 * b.cs + 8, be32(70));
    b.put64(20 * b.cs, 30 * b.cs);
    b.put(2 * b.cs + 2 * 21, be16(0));
    b.put64(30 * b.cs + 69 * 8, 22 * b.cs);
    for (const uint64_t i : {30U, 31U}) b.put(2 * b.cs + 2 * i, be16(1));
    b.bytes.resize(32 * b.cs);
    // Every second cluster in front holds data.
    for (uint64_t i = 7; i < 20 && !room; i += 2) {
      b.set_l2(i, i * b.cs | kCopied);
      b.fill(i * b.cs, b.cs, static_cast<uint8_t>(i));
      b.put(2 * b.cs + 2 * i, be16(1));
    }
    const FilePtr file = b.file();
    ASSERT_EQ(leaks_and_faults(file), 0U) << testing::PrintToString(test::checked(file).messages);
    const auto before = everything_in(file);
    must_compact(file);
    EXPECT_TRUE(everything_in(file) == before);
    EXPECT_EQ(leaks_and_faults(file), 0U);
    EXPECT_EQ(file->stat()->size, (room ? 10 : 17) * b.cs) << room;
  }
}

TEST(CompactedImage, IsRefusedWithNothingChanged) {
  const auto refusal = [](const ImageBuilder& b) {
    const FilePtr file = b.file();
    const auto before = test::bytes_of_file(*file);
    NoProgress progress;
    const auto done = compact_file(file, progress);
    EXPECT_TRUE(test::bytes_of_file(*file) == before);
    return done ? "" : done.error().message();
  };
  ScatteredImage low;
  low.set_refcount(10, 0);
  EXPECT_THAT(refusal(low), HasSubstr("--repair all"));
  // Guest data in a table that would be changed: the counts are right, and that does not help.
  ScatteredImage shared;
  shared.put64(shared.at(2) + 64, shared.at(ScatteredImage::kFar + 7));
  shared.set_refcount(ScatteredImage::kFar + 7, 2);
  shared.put64(shared.at(ScatteredImage::kFar + 10) + 8, shared.at(ScatteredImage::kFar + 7));
  shared.set_refcount(ScatteredImage::kFar + 40, 0);
  EXPECT_THAT(refusal(shared), HasSubstr("shares the cluster"));
}

// Sectors of a LUKS disk are encrypted by their places, those of AES are not.
TEST(CompactedImage, IsEncryptedAnew) {
  for (const std::string method : {"luks", "aes"}) {
    Options options{{"cluster_size", "4k"}, {"encrypt.format", method}};
    if (method == "luks") options.emplace("encrypt.iter-time", "1");
    const FilePtr file = std::make_shared<MemoryFile>("encrypted");
    ASSERT_TRUE((*find_format("qcow2")->create({.file = file,
                                                .size = 300 * KiB,
                                                .options = options,
                                                .keys = platter::test::test_keys()}))
                    ->finish());
    {
      OpenDisk disk(
          [&](Epochs& epochs) { return open_image(file, &epochs, platter::test::test_keys()); });
      for (int i = 0; i < 10; ++i) {
        ASSERT_TRUE(disk.fill({static_cast<uint64_t>(i) * 30000, 30000}, i + 1));
      }
      ASSERT_TRUE(disk.writer().discard({0, 150000}));
      ASSERT_TRUE(disk.writer().close());
    }
    const auto before = everything_in(file);
    const uint64_t old = file->stat()->size;
    Epochs epochs;
    NoProgress progress;
    const auto locked = (*open_image(file, &epochs))->compact(progress);
    EXPECT_EQ(bool(locked), method == "aes");
    EXPECT_TRUE(locked || locked.error().code() == Errc::no_key);
    must_compact(file);
    EXPECT_LT(file->stat()->size, old - 140000);
    EXPECT_TRUE(platter::test::same(everything_in(file), before)) << method;
    EXPECT_EQ(leaks_and_faults(file), 0U);
  }
}

// How QEMU makes it, and what is done with it then.
struct QemuCase {
  std::string name, make;
};
void PrintTo(const QemuCase& c, std::ostream* out) { *out << c.name; }

class CompactedLikeQemu : public testing::TestWithParam<QemuCase> {};

TEST_P(CompactedLikeQemu, HasNoFaultAndTheSameDisks) {
  REQUIRE_QEMU();
  const platter::test::TempDir dir;
  MUST_RUN(dir, GetParam().make);
  const bool snapshot = platter::test::run(dir, "qemu-img convert -l s -O raw a.qcow2 s.raw") == 0;
  MUST_RUN(dir, "qemu-img convert -O raw a.qcow2 before.raw");
  const auto file = *PosixFile::open(dir / "a.qcow2", Access::write);
  const uint64_t old = file->stat()->size;
  must_compact(file);
  EXPECT_LT(file->stat()->size, old - 512 * KiB);
  MUST_RUN(dir, "qemu-img check a.qcow2");
  MUST_RUN(dir, "qemu-img compare -f raw -F qcow2 before.raw a.qcow2");
  if (!snapshot) return;
  MUST_RUN(dir, "qemu-img convert -l s -O raw a.qcow2 t.raw && cmp s.raw t.raw");
}

const std::string kFill =
    "qemu-io -c 'write -P 1 0 1M' -c 'write -P 2 1M 1M' -c 'write -P 3 2M 1M' a.qcow2 ";
const std::string kDrop = "&& qemu-io -c 'discard 0 1M' -c 'write -P 4 2M 64k' a.qcow2";

INSTANTIATE_TEST_SUITE_P(
    Images, CompactedLikeQemu,
    testing::Values(
        QemuCase{"Plain", "qemu-img create -f qcow2 a.qcow2 4M && " + kFill + kDrop},
        QemuCase{"OfSmallClusters",
                 "qemu-img create -f qcow2 -o cluster_size=512 a.qcow2 4M && " + kFill + kDrop},
        QemuCase{"OfNarrowRefcounts",
                 "qemu-img create -f qcow2 -o refcount_bits=1 a.qcow2 4M && " + kFill + kDrop},
        QemuCase{"OfOldVersion",
                 "qemu-img create -f qcow2 -o compat=0.10 a.qcow2 4M && " + kFill + kDrop},
        QemuCase{"OfSubclusters",
                 "qemu-img create -f qcow2 -o extended_l2=on a.qcow2 4M && " + kFill + kDrop},
        QemuCase{"WithASnapshot", "qemu-img create -f qcow2 a.qcow2 4M && " + kFill +
                                      "&& qemu-img snapshot -c d a.qcow2 && "
                                      "qemu-io -c 'write -P 9 512k 2M' a.qcow2 && "
                                      "qemu-img snapshot -c s a.qcow2 && "
                                      "qemu-io -c 'write -P 8 1M 64k' a.qcow2 && "
                                      "qemu-img snapshot -d d a.qcow2 " +
                                      kDrop},
        QemuCase{"WithABitmap",
                 "qemu-img create -f qcow2 a.qcow2 4M && qemu-img bitmap --add "
                 "a.qcow2 b && " +
                     kFill + kDrop},
        QemuCase{"OfManyRefcountBlocks",
                 "qemu-img create -f qcow2 -o cluster_size=4k,preallocation=metadata a.qcow2 64M "
                 "&& qemu-io -c 'discard 1M 40M' -c 'write -P 7 60M 2M' a.qcow2"},
        QemuCase{"OfCompressedClusters",
                 "qemu-img create -f qcow2 b.qcow2 4M && qemu-io -c 'write -P 1 0 3M' b.qcow2 && "
                 "qemu-img convert -c -O qcow2 b.qcow2 a.qcow2 && " +
                     kFill + kDrop}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter::qcow2
