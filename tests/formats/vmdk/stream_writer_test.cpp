// New streamOptimized images: what they read as, how they lie in their file, and what becomes of
// them when the host fails.
#include <cerrno>
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/vmdk/create.h"
#include "formats/vmdk/layout.h"
#include "lib/container/view.h"
#include "lib/image/registry.h"
#include "lib/io/memory_file.h"
#include "tests/support/bytes.h"
#include "tests/support/crash_file.h"
#include "tests/support/same_bytes.h"
#include "tests/support/wrapped_file.h"

namespace platter::vmdk {
namespace {

using test::Call;
using test::FailAt;
using test::WrappedFile;
using testing::ElementsAre;
using testing::HasSubstr;

const Options kAsStream = {{"create_type", "streamOptimized"}};

Result<ImageWriterPtr> begin_stream(const FilePtr& file, uint64_t size, Options more = {},
                                    std::optional<ParentLink> parent = std::nullopt,
                                    std::optional<Effort> effort = std::nullopt) {
  more.insert(kAsStream.begin(), kAsStream.end());
  return create_vmdk({.file = file,
                      .size = size,
                      .options = more,
                      .parent = std::move(parent),
                      .name = "new.vmdk",
                      .compress = effort});
}

Result<ImagePtr> open_stream(const FilePtr& file) {
  const auto resolver = deny_resolver("a stream is one file");
  return find_format("vmdk")->open(
      OpenRequest{.file = file, .resolver = *resolver, .tables = std::make_shared<PageCache>(MiB)});
}

Result<std::vector<std::byte>> disk_of_stream(const FilePtr& file) {
  const ImagePtr image = TRY(open_stream(file));
  BlockCache blocks(MiB);
  const View view({{image.get(), 0}}, blocks);
  std::vector<std::byte> out(view.size());
  TRY(view.read(0, out));
  return out;
}

// As convert does it: grains of zeroes are left out, others go through the encoder.
Result<void> put_encoded(ImageWriter& writer, Bytes disk) {
  const uint64_t grain = writer.block_size();
  std::vector<std::byte> unit(grain), stored(writer.max_stored());
  for (uint64_t at = 0; at < disk.size(); at += grain) {
    const Bytes here = disk.subspan(at, std::min(grain, disk.size() - at));
    if (std::ranges::all_of(here, [](std::byte b) { return b == std::byte{0}; })) continue;
    std::ranges::fill(unit, std::byte{0});
    std::ranges::copy(here, unit.begin());
    const size_t length = TRY(writer.encoder()->encode(unit, stored));
    if (length == 0) return Error(Errc::io, "every grain fits");
    TRY(writer.write_encoded(at, Bytes(stored).first(length)));
  }
  return writer.finish();
}

// Grains that compress well, a little and not at all, and holes, by turns nobody planned.
std::vector<std::byte> stream_disk(uint64_t size, uint64_t grain) {
  std::vector<std::byte> disk(size);
  std::mt19937_64 random(size + grain);
  for (uint64_t at = 0; at < size; at += grain) {
    const uint64_t here = std::min(grain, size - at), kind = random() % 5;
    if (kind == 0) continue;
    for (uint64_t i = at; i < at + here; ++i) {
      const bool noise = kind == 1 || (kind == 2 && i % 4 != 0) || (kind == 3 && i % 50 == 0);
      disk[i] = static_cast<std::byte>(noise ? random() : at / grain + 1);
    }
  }
  return disk;
}

struct StreamShape {
  uint64_t size = 0;
  const char* grain = "64k";
};

std::vector<StreamShape> stream_shapes() {
  return {{512},         {64 * KiB},        {64 * KiB + 512},      {3 * MiB + 512, "4k"},
          {3 * MiB - 1}, {300 * KiB, "8k"}, {7 * MiB, "1M"},       {9 * MiB, "32M"},
          {4097, "4k"},  {2 * MiB, "4k"},   {2 * MiB + 512, "4k"}, {5 * MiB + 1536}};
}

TEST(StreamWriter, MakesWhatReadsAsItWasWritten) {
  for (const auto& [size, grain] : stream_shapes()) {
    const auto file = std::make_shared<MemoryFile>("new.vmdk");
    auto writer = begin_stream(file, size, {{"grain_size", grain}});
    ASSERT_TRUE(writer) << writer.error().message();
    auto disk = stream_disk(size, (*writer)->block_size());
    const auto done = put_encoded(**writer, disk);
    ASSERT_TRUE(done) << done.error().message();
    disk.resize(align_up(size, 512));
    const auto seen = disk_of_stream(file);
    ASSERT_TRUE(seen) << seen.error().message();
    EXPECT_TRUE(test::same(*seen, disk)) << size << " " << grain;
  }
}

TEST(StreamWriter, CompressesWhatIsWrittenAsItIs) {
  for (const Effort effort : {Effort::usual, Effort::fast}) {
    const auto file = std::make_shared<MemoryFile>("new.vmdk");
    auto writer = begin_stream(file, 3 * MiB + 512, {}, {}, effort);
    ASSERT_TRUE(writer) << writer.error().message();
    const auto disk = stream_disk(3 * MiB + 512, 64 * KiB);
    ASSERT_TRUE((*writer)->write(0, Bytes(disk).first(MiB)));
    ASSERT_TRUE((*writer)->write(MiB, Bytes(disk).subspan(MiB)));
    ASSERT_TRUE((*writer)->finish());
    const auto seen = disk_of_stream(file);
    ASSERT_TRUE(seen) << seen.error().message();
    EXPECT_TRUE(test::same(*seen, disk));
    EXPECT_LT(file->stat()->size, 2 * MiB);
  }
}

TEST(StreamWriter, StoresWhatNothingMakesSmaller) {
  for (const Effort effort : {Effort::usual, Effort::fast}) {
    for (const char* grain : {"4k", "64k", "1M"}) {
      const auto file = std::make_shared<MemoryFile>("new.vmdk");
      auto writer = begin_stream(file, MiB, {{"grain_size", grain}}, {}, effort);
      ASSERT_TRUE(writer) << writer.error().message();
      EXPECT_LE((*writer)->max_stored(), 2 * (*writer)->block_size());
      const auto disk = test::noise(MiB, 9);
      const auto done = put_encoded(**writer, disk);
      ASSERT_TRUE(done) << done.error().message();
      const auto seen = disk_of_stream(file);
      ASSERT_TRUE(seen) << seen.error().message();
      EXPECT_TRUE(test::same(*seen, disk));
    }
  }
}

TEST(StreamWriter, MakesAnEmptyDisk) {
  const auto file = std::make_shared<MemoryFile>("new.vmdk");
  auto writer = begin_stream(file, 5 * MiB);
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->finish());
  const auto seen = disk_of_stream(file);
  ASSERT_TRUE(seen) << seen.error().message();
  EXPECT_TRUE(test::same(*seen, std::vector<std::byte>(5 * MiB)));
  // Up to the grains; directory, footer and end with their markers.
  EXPECT_EQ(file->stat()->size, 64 * KiB + 5 * 512);
}

TEST(StreamWriter, OfAHugeEmptyDiskIsQuickAndSmall) {
  const auto file = std::make_shared<MemoryFile>("new.vmdk");
  const uint64_t size = 62 * 1024 * GiB;
  auto writer = begin_stream(file, size);
  ASSERT_TRUE(writer) << writer.error().message();
  const auto grain = test::noise(64 * KiB, 1);
  for (const uint64_t at : {uint64_t{0}, size / 2, size - 64 * KiB}) {
    ASSERT_TRUE((*writer)->write(at, grain));
  }
  ASSERT_TRUE((*writer)->finish());
  const auto image = open_stream(file);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->size(), size);
  EXPECT_EQ((*image)->map({size / 2, 1})->kind, Extent::Kind::encoded);
  EXPECT_EQ((*image)->map({size - 1, 1})->kind, Extent::Kind::encoded);
  EXPECT_EQ((*image)->map({size / 3, 1})->kind, Extent::Kind::absent);
}

// The markers of the file, from the first grain on, as letters.
std::string markers_of(const File& file) {
  std::string text;
  const auto header = *file.read_struct<RawSparseHeader>(0);
  uint64_t at = header.overhead * kSector;
  for (;;) {
    const auto marker = file.read_struct<RawMarker>(at);
    if (!marker) return text + "?";
    if (marker->start.size != 0) {
      text += fmt::format("g{} ", marker->start.value / header.grain_size);
      at += align_up(sizeof(RawGrainMarker) + marker->start.size, kSector);
      continue;
    }
    const char* names[] = {"end", "table ", "directory ", "footer "};
    text += names[marker->type];
    at += (1 + marker->start.value) * kSector;
    if (marker->type == 0) return text + (at == file.stat()->size ? "" : "?");
  }
}

TEST(StreamWriter, PutsEachTableBehindItsLastGrain) {
  const auto file = std::make_shared<MemoryFile>("new.vmdk");
  auto writer = begin_stream(file, 9 * MiB, {{"grain_size", "4k"}});
  ASSERT_TRUE(writer);
  const auto grain = test::noise(4 * KiB, 1);
  for (const uint64_t n : {1U, 7U, 511U, 512U, 2000U}) {
    ASSERT_TRUE((*writer)->write(n * 4 * KiB, grain));
  }
  ASSERT_TRUE((*writer)->finish());
  EXPECT_EQ(markers_of(*file), "g1 g7 g511 table g512 table g2000 table directory footer end");
  const auto header = *file->read_struct<RawSparseHeader>(0);
  EXPECT_EQ(header.version, 3U);
  EXPECT_EQ(header.flags, 0x30001U);
  EXPECT_EQ(header.gd_offset, kDirectoryInFooter);
  auto footer = *file->read_struct<RawSparseHeader>(file->stat()->size - 1024);
  // The directory has a marker; entries of tables that are not there are 0.
  const auto directory = *file->read_struct<std::array<le32, 5>>(footer.gd_offset * kSector);
  EXPECT_NE(directory[0], 0U);
  EXPECT_NE(directory[1], 0U);
  EXPECT_EQ(directory[2], 0U);
  EXPECT_NE(directory[3], 0U);
  EXPECT_EQ(directory[4], 0U);
  footer.gd_offset = kDirectoryInFooter;
  EXPECT_EQ(std::memcmp(&footer, &header, sizeof header), 0);
}

TEST(StreamWriter, IsDescribedAsAStream) {
  const auto file = std::make_shared<MemoryFile>("new.vmdk");
  auto writer = begin_stream(file, 5 * MiB, {{"adapter_type", "lsilogic"}});
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->finish());
  const auto image = open_stream(file);
  ASSERT_TRUE(image);
  const ImageInfo& info = (*image)->info();
  EXPECT_EQ(info.variant, "streamOptimized");
  EXPECT_EQ(info.content_id.size(), 8U);
  EXPECT_TRUE(info.warnings.empty());
  const std::string text = test::read_text(*file, 512, 20 * 512);
  EXPECT_THAT(text, HasSubstr("RDONLY 10240 SPARSE \"new.vmdk\"\n"));
  EXPECT_THAT(text, HasSubstr("ddb.adapterType = \"lsilogic\"\n"));
}

TEST(StreamWriter, HidesAParentBehindZeroes) {
  const auto file = std::make_shared<MemoryFile>("child.vmdk");
  auto writer = begin_stream(file, MiB, {},
                             ParentLink{.reference = "base.vmdk",
                                        .format = "vmdk",
                                        .uuid = std::nullopt,
                                        .modification_uuid = std::nullopt,
                                        .content_id = "12345678",
                                        .mtime_s = std::nullopt});
  ASSERT_TRUE(writer) << writer.error().message();
  ASSERT_TRUE((*writer)->write(0, std::vector<std::byte>(64 * KiB)));
  ASSERT_TRUE((*writer)->zero({128 * KiB, 200 * KiB - 8 * KiB}));
  ASSERT_TRUE((*writer)->finish());
  const auto image = open_stream(file);
  ASSERT_TRUE(image) << image.error().message();
  ASSERT_TRUE((*image)->info().parent);
  EXPECT_EQ((*image)->info().parent->content_id, "12345678");
  for (const auto& [grain, there] :
       {std::pair{0U, true}, {1U, false}, {2U, true}, {4U, true}, {5U, false}}) {
    EXPECT_EQ((*image)->map({grain * 64 * KiB, 1})->kind,
              there ? Extent::Kind::encoded : Extent::Kind::absent)
        << grain;
  }
  EXPECT_TRUE(test::same(*disk_of_stream(file), std::vector<std::byte>(MiB)));
}

TEST(StreamWriter, MakesNoImageBeforeTheEnd) {
  const auto file = std::make_shared<MemoryFile>("new.vmdk");
  auto writer = begin_stream(file, 64 * MiB);
  ASSERT_TRUE(writer);
  for (uint64_t i = 0; i < 64; ++i) {
    ASSERT_TRUE((*writer)->write(i * 64 * KiB, test::noise(64 * KiB, i)));
  }
  EXPECT_GT(file->stat()->size, MiB);
  EXPECT_EQ(*file->read_struct<le32>(0), 0U);
}

// Each call to the file fails in turn: the error is told, and there is no image.
TEST(StreamWriter, IsNoImageWhenTheHostIsFullAnywhere) {
  bool failed = true;
  for (uint64_t n = 1; failed; ++n) {
    const auto file = std::make_shared<MemoryFile>("new.vmdk");
    FailAt fault(n, ENOSPC);
    auto writer = begin_stream(std::make_shared<WrappedFile>(file, fault.hook()), 3 * MiB);
    ASSERT_TRUE(writer);
    const auto done = put_encoded(**writer, stream_disk(3 * MiB, 64 * KiB));
    failed = fault.fired();
    EXPECT_EQ(done.has_value(), !failed) << n;
    if (failed && file->stat()->size >= 4) {
      // Only the last sync may fail with a header in the file, which then has no name.
      const bool image = *file->read_struct<le32>(0) == kSparseMagic;
      EXPECT_TRUE(!image || fault.sync_failed()) << n;
    }
    ASSERT_LT(n, 1000U);
  }
}

// Power is lost before each call to the file: once there is an image, all of it is there. A stream
// that has lost its end would still be read, without those grains.
TEST(StreamWriter, IsWholeAsSoonAsItIsAnImage) {
  std::mt19937_64 random(3);
  const auto disk = test::noise(3 * MiB, 4);
  const auto file = std::make_shared<test::CrashFile>();
  const auto look = [&](Call call) -> Result<void> {
    if (call == Call::read) return {};
    for (int i = 0; i < 10; ++i) {
      const FilePtr after = file->crash(random);
      if (after->stat()->size < 4 || *after->read_struct<le32>(0) != kSparseMagic) continue;
      const auto seen = disk_of_stream(after);
      EXPECT_TRUE(seen && test::same(*seen, disk));
    }
    return {};
  };
  auto writer = begin_stream(std::make_shared<WrappedFile>(file, look), 3 * MiB);
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->write(0, disk));
  ASSERT_TRUE((*writer)->finish());
}

TEST(StreamWriter, RejectsWhatIsNotTheNextGrain) {
  auto writer = begin_stream(std::make_shared<MemoryFile>("new.vmdk"), MiB + 512);
  ASSERT_TRUE(writer);
  const auto some = test::noise(100, 1), grain = test::noise(64 * KiB, 2);
  ASSERT_TRUE((*writer)->write(128 * KiB, grain));
  for (const uint64_t at :
       {uint64_t{1}, uint64_t{0}, 128 * KiB, MiB + 64 * KiB, ~uint64_t{0} - 65535}) {
    const auto done = (*writer)->write_encoded(at, some);
    ASSERT_FALSE(done) << at;
    EXPECT_EQ(done.error().code(), Errc::out_of_range);
    EXPECT_FALSE((*writer)->write(at, grain)) << at;
    EXPECT_FALSE((*writer)->zero({at, 64 * KiB})) << at;
  }
  EXPECT_FALSE((*writer)->write_encoded(256 * KiB, {}));
  EXPECT_FALSE(
      (*writer)->write_encoded(256 * KiB, std::vector<std::byte>((*writer)->max_stored() + 1)));
  EXPECT_FALSE((*writer)->write(256 * KiB, some));
}

std::string stream_refusal(uint64_t size, const Options& options,
                           std::optional<Effort> effort = std::nullopt) {
  const auto writer = create_vmdk({.file = std::make_shared<MemoryFile>("new.vmdk"),
                                   .size = size,
                                   .options = options,
                                   .name = "new.vmdk",
                                   .compress = effort});
  if (writer) return "";
  EXPECT_EQ(writer.error().code(), Errc::invalid);
  return writer.error().message();
}

TEST(StreamOptions, CompressionMakesAStream) {
  const Options none;
  const auto file = std::make_shared<MemoryFile>("new.vmdk");
  auto writer = create_vmdk(
      {.file = file, .size = MiB, .options = none, .name = "new.vmdk", .compress = Effort::fast});
  ASSERT_TRUE(writer) << writer.error().message();
  ASSERT_TRUE((*writer)->finish());
  EXPECT_EQ((*open_stream(file))->info().variant, "streamOptimized");
}

TEST(StreamOptions, RejectCompressionOfOtherKinds) {
  for (const char* type : {"monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "vmfs"}) {
    EXPECT_THAT(stream_refusal(MiB, {{"create_type", type}}, Effort::usual),
                HasSubstr("only streamOptimized is compressed"));
  }
}

TEST(StreamOptions, RejectWhatNoStreamCanBe) {
  Options options = kAsStream;
  options["grain_size"] = "64M";
  EXPECT_THAT(stream_refusal(MiB, options), HasSubstr("grain_size=64M"));
  options["grain_size"] = "4k";
  EXPECT_THAT(stream_refusal(uint64_t{65} * 1024 * GiB, options), HasSubstr("at most 64 TiB"));
  options["grain_size"] = "64k";
  EXPECT_EQ(stream_refusal(uint64_t{65} * 1024 * GiB, options), "");
}

}  // namespace
}  // namespace platter::vmdk
