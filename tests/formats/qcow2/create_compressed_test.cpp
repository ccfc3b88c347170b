// New images with compressed clusters: what they read as, that a check finds nothing, and what
// becomes of them when the host fails.
#include <cerrno>
#include <random>

#include "formats/qcow2/create.h"
#include "formats/qcow2/l2.h"
#include "formats/qcow2/refcount_map.h"
#include "tests/formats/qcow2/check_image.h"
#include "tests/support/bytes.h"
#include "tests/support/wrapped_file.h"

namespace platter::qcow2 {
namespace {

using platter::test::FailAt;
using platter::test::WrappedFile;
using test::checked;
using test::disk_of;

Result<ImageWriterPtr> begin(const FilePtr& file, uint64_t size, const Options& options,
                             std::optional<Effort> effort = Effort::usual) {
  return create_image(
      CreateRequest{.file = file, .size = size, .options = options, .compress = effort});
}

// As convert does it.
Result<void> put(ImageWriter& writer, uint64_t offset, Bytes data) {
  const uint64_t block = writer.block_size();
  std::vector<std::byte> unit(block), stored(writer.max_stored());
  for (; !data.empty(); offset += block) {
    const Bytes here = data.first(std::min<uint64_t>(block, data.size()));
    std::ranges::fill(unit, std::byte{0});
    std::ranges::copy(here, unit.begin());
    const size_t length = TRY(writer.encoder()->encode(unit, stored));
    if (length == 0) {
      TRY(writer.write(offset, here));
    } else {
      TRY(writer.write_encoded(offset, Bytes(stored).first(length)));
    }
    data = data.subspan(here.size());
  }
  return {};
}

// Blocks that compress well, a little and not at all, and holes, by turns nobody planned.
std::vector<std::byte> disk_for(uint64_t size, uint64_t block) {
  std::vector<std::byte> disk(size);
  std::mt19937_64 random(size + block);
  for (uint64_t at = 0; at < size; at += block) {
    const uint64_t here = std::min(block, size - at), kind = random() % 5;
    if (kind == 0) continue;
    for (uint64_t i = at; i < at + here; ++i) {
      const bool noise = kind == 1 || (kind == 2 && i % 4 != 0) || (kind == 3 && i % 50 == 0);
      disk[i] = static_cast<std::byte>(noise ? random() : at / block + 1);
    }
  }
  return disk;
}

struct Variant {
  std::string name;
  Options options;
  uint64_t size = 5 * MiB + 512;
};
void PrintTo(const Variant& v, std::ostream* out) { *out << v.name; }

class Qcow2CreateCompressed : public testing::TestWithParam<Variant> {
 protected:
  // Only what is not all zero.
  static Result<void> put_disk(ImageWriter& writer, const std::vector<std::byte>& disk) {
    const uint64_t block = writer.block_size();
    for (uint64_t at = 0; at < disk.size(); at += block) {
      const Bytes part = Bytes(disk).subspan(at, std::min(block, disk.size() - at));
      const bool zero = std::ranges::all_of(part, [](std::byte b) { return b == std::byte{0}; });
      if (!zero) TRY(put(writer, at, part));
    }
    return writer.finish();
  }
};

TEST_P(Qcow2CreateCompressed, ReadsBackWhatWasWrittenAndIsSound) {
  for (const Effort effort : {Effort::usual, Effort::fast}) {
    const auto file = std::make_shared<MemoryFile>("new.qcow2");
    auto writer = begin(file, GetParam().size, GetParam().options, effort);
    ASSERT_TRUE(writer) << writer.error().message();
    const auto disk = disk_for(GetParam().size, (*writer)->block_size());
    const auto written = put_disk(**writer, disk);
    ASSERT_TRUE(written) << written.error().message();
    const auto bytes = disk_of(file);
    ASSERT_TRUE(bytes) << bytes.error().message();
    EXPECT_TRUE(*bytes == disk);
    const CheckReport report = checked(file);
    EXPECT_EQ(report.corruptions, 0U) << report.messages.front();
    EXPECT_EQ(report.leaks, 0U) << report.messages.front();
  }
}

// Each call to the file fails in turn: the error is told, and there is no image.
TEST_P(Qcow2CreateCompressed, IsNoImageWhenTheHostIsFullAnywhere) {
  const uint64_t size = std::min<uint64_t>(GetParam().size, MiB / 2);
  bool failed = true;
  for (uint64_t n = 1; failed; ++n) {
    const auto file = std::make_shared<MemoryFile>("new.qcow2");
    FailAt fault(n, ENOSPC);
    auto writer =
        begin(std::make_shared<WrappedFile>(file, fault.hook()), size, GetParam().options);
    ASSERT_TRUE(writer);
    const auto done = put_disk(**writer, disk_for(size, (*writer)->block_size()));
    failed = fault.fired();
    EXPECT_EQ(done.has_value(), !failed) << n;
    if (failed && file->stat()->size >= 4) {
      // Only the last sync may fail with a header in the file, which then has no name.
      const bool image = *file->read_struct<be32>(0) == kMagic;
      EXPECT_TRUE(!image || fault.sync_failed()) << n;
    }
    ASSERT_LT(n, 10000U);
  }
}

std::vector<Variant> variants() {
  using O = Options;
  std::vector<Variant> list = {
      {"plain", {}},
      {"v2", O{{"compat", "0.10"}}},
      {"zstd", O{{"compression_type", "zstd"}}},
      {"window", O{{"window", "4k"}}},
      {"extended", O{{"extended_l2", "on"}}},
      {"c512", O{{"cluster_size", "512"}}, 300 * KiB + 512},
      {"c512r64", O{{"cluster_size", "512"}, {"refcount_bits", "64"}}, 300 * KiB},
      {"c4k", O{{"cluster_size", "4k"}}},
      {"c2M", O{{"cluster_size", "2M"}}, 30 * MiB},
      {"c2Mzstd", O{{"cluster_size", "2M"}, {"compression_type", "zstd"}}, 30 * MiB},
  };
  for (const char* bits : {"1", "2", "4", "8", "32"}) {
    list.push_back({std::string("r") + bits, O{{"refcount_bits", bits}}});
    list.push_back(
        {std::string("small_r") + bits, O{{"refcount_bits", bits}, {"cluster_size", "4k"}}, MiB});
  }
  return list;
}
INSTANTIATE_TEST_SUITE_P(Variants, Qcow2CreateCompressed, testing::ValuesIn(variants()),
                         [](const auto& test) { return test.param.name; });

std::vector<std::byte> all_of(std::byte value, size_t length) { return {length, value}; }

TEST(Qcow2CompressedLayout, PutsManyStreamsIntoOneCluster) {
  const auto file = std::make_shared<MemoryFile>("new.qcow2");
  auto writer = begin(file, 64 * MiB, {});
  ASSERT_TRUE(writer);
  for (uint64_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE(put(**writer, i * 64 * KiB, all_of(std::byte{1}, 64 * KiB)));
  }
  ASSERT_TRUE((*writer)->finish());
  // 1000 streams of less than 300 bytes; header, L2, L1 and refcounts have a cluster each.
  EXPECT_LE(file->stat()->size, (5 + 5) * 64 * KiB);
  EXPECT_EQ(checked(file).corruptions, 0U);
}

TEST(Qcow2CompressedLayout, IsNotTornByWhatCannotBeCompressed) {
  const auto file = std::make_shared<MemoryFile>("new.qcow2");
  auto writer = begin(file, 64 * MiB, {});
  ASSERT_TRUE(writer);
  uint64_t streams = 0, plain = 0;
  for (uint64_t i = 0; i < 500; ++i) {
    // Half noise: a stream of 32 KiB and a bit.
    auto data = platter::test::noise(64 * KiB, i);
    if (i % 2 == 0) std::fill(data.begin() + 32 * 1024, data.end(), std::byte{1});
    ASSERT_TRUE(put(**writer, i * 64 * KiB, data));
    (i % 2 == 0 ? streams : plain) += 1;
  }
  ASSERT_TRUE((*writer)->finish());
  const uint64_t least = (streams / 2 + plain) * 64 * KiB;
  EXPECT_LE(file->stat()->size, least + least / 10);
  EXPECT_EQ(checked(file).corruptions + checked(file).leaks, 0U);
}

TEST(Qcow2CompressedLayout, KeepsAClusterThatSavesLittleAsItIs) {
  const auto file = std::make_shared<MemoryFile>("new.qcow2");
  auto writer = begin(file, MiB, {});
  ASSERT_TRUE(writer);
  auto data = platter::test::noise(64 * KiB, 1);
  std::fill_n(data.begin(), 1024, std::byte{0});
  std::vector<std::byte> stored((*writer)->max_stored());
  EXPECT_EQ(*(*writer)->encoder()->encode(data, stored), 0U);
}

TEST(Qcow2CompressedLayout, MakesNoImageBeforeTheEnd) {
  const auto file = std::make_shared<MemoryFile>("new.qcow2");
  auto writer = begin(file, 64 * MiB, {});
  ASSERT_TRUE(writer);
  for (uint64_t i = 0; i < 64; ++i) {
    auto data = platter::test::noise(64 * KiB, i);
    std::fill_n(data.begin(), 8192, std::byte{0});
    ASSERT_TRUE(put(**writer, i * 64 * KiB, data));
  }
  EXPECT_GT(file->stat()->size, MiB);
  EXPECT_EQ(*file->read_struct<be32>(0), 0U);
}

TEST(Qcow2CompressedWrite, RejectsWhatIsNoClusterOfTheDisk) {
  auto writer = begin(std::make_shared<MemoryFile>("new.qcow2"), MiB, {});
  ASSERT_TRUE(writer);
  const auto some = all_of(std::byte{1}, 100);
  for (const uint64_t offset : {uint64_t{1}, uint64_t{512}, MiB, MiB + 64 * KiB}) {
    const auto done = (*writer)->write_encoded(offset, some);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), Errc::out_of_range);
  }
  EXPECT_FALSE((*writer)->write_encoded(0, {}));
  EXPECT_FALSE((*writer)->write_encoded(0, all_of(std::byte{1}, 64 * 1024)));
}

TEST(Qcow2CompressedWrite, IsNothingForAnImageThatIsNotCompressed) {
  auto writer = begin(std::make_shared<MemoryFile>("new.qcow2"), MiB, {}, std::nullopt);
  ASSERT_TRUE(writer);
  EXPECT_EQ((*writer)->encoder(), nullptr);
  EXPECT_FALSE((*writer)->write_encoded(0, all_of(std::byte{1}, 100)));
}

void expect_invalid(const Options& options, std::optional<Effort> effort, std::string_view part) {
  const auto writer = begin(std::make_shared<MemoryFile>("new.qcow2"), MiB, options, effort);
  ASSERT_FALSE(writer) << part;
  EXPECT_EQ(writer.error().code(), Errc::invalid);
  EXPECT_NE(writer.error().message().find(part), std::string::npos) << writer.error().message();
}

TEST(Qcow2CompressedOptions, RejectWhatExcludesCompression) {
  for (const char* mode : {"metadata", "falloc", "full"}) {
    expect_invalid({{"preallocation", mode}}, Effort::usual, "not together with compressed");
  }
  expect_invalid({{"encrypt.format", "luks"}}, Effort::usual, "are not encrypted");
  const Options none;
  const auto data =
      create_image(CreateRequest{.file = std::make_shared<MemoryFile>("image"),
                                 .size = MiB,
                                 .options = none,
                                 .data_file = {{"data", std::make_shared<MemoryFile>("data")}},
                                 .compress = Effort::usual});
  ASSERT_FALSE(data);
  EXPECT_EQ(data.error().code(), Errc::invalid);
}

TEST(Qcow2CompressedOptions, RejectAWindowThatNothingHas) {
  expect_invalid({{"window", "4k"}}, std::nullopt, "window=4k");
  expect_invalid({{"window", "4k"}, {"compression_type", "zstd"}}, Effort::usual, "window=4k");
  for (const char* bad : {"", "4", "64k", "4096"}) {
    expect_invalid({{"window", bad}}, Effort::usual, "must be 32k or 4k");
  }
  EXPECT_TRUE(begin(std::make_shared<MemoryFile>("x"), MiB, {{"window", "32k"}}, std::nullopt));
}

TEST(Qcow2CompressedWord, SaysWhatDecodingItFinds) {
  for (uint32_t bits = kMinClusterBits; bits <= kMaxClusterBits; ++bits) {
    const L2Shape shape{.cluster_bits = bits};
    const uint64_t cluster = shape.cluster_size(), end = max_stream_end(bits);
    for (const uint64_t host : {cluster, cluster + 1, 3 * cluster + 511, end - cluster}) {
      for (const uint64_t length : {uint64_t{1}, uint64_t{511}, cluster - 1, cluster}) {
        const Allocation found = decode(shape, {compressed_word(bits, host, length)}, 0);
        ASSERT_EQ(found.kind, Allocation::Kind::compressed) << bits;
        EXPECT_EQ(found.host, host);
        EXPECT_GE(found.stored, length);
        EXPECT_LT(found.stored, length + kSector);
      }
    }
  }
}

}  // namespace
}  // namespace platter::qcow2
