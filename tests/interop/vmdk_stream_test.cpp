// streamOptimized VMDKs that go between Platter and other programs: QEMU, 7-Zip and libvmdk read
// what Platter makes, Platter reads what QEMU makes.
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/ops/convert.h"
#include "lib/ops/create.h"
#include "tests/support/qemu.h"
#include "tests/support/rounds.h"

namespace platter::test {
namespace {

bool have_program(const char* name) {
  return std::system(fmt::format("command -v {} >/dev/null 2>&1", name).c_str()) == 0;
}

struct Variant {
  std::string name;
  uint64_t size = 0;  // of the disk, bytes
  std::string grain = "64k";
  std::optional<Effort> compress = std::nullopt;
};
void PrintTo(const Variant& v, std::ostream* out) { *out << v.name; }

// Of pieces that are holes, text and noise, and begin anywhere.
std::string random_disk(uint64_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string disk(size, '\0');
  for (uint64_t at = 0; at < size;) {
    const uint64_t end = std::min(size, at + 1 + random() % 150000), kind = random() % 5;
    for (uint64_t i = at; i < end && kind != 0; ++i) {
      const bool noise = kind == 1 || (kind < 4 && i % 8 < kind) || i % 100 == 0;
      disk[i] = static_cast<char>(noise ? random() : 'a' + at % 20);
    }
    at = end + (random() % 4 == 0 ? random() % MiB : 0);
  }
  return disk;
}

class VmdkStream : public testing::TestWithParam<Variant> {
 protected:
  void SetUp() override { REQUIRE_QEMU(); }

  void make_ours(const std::string& name, const std::string& disk) {
    write_file(dir_ / "disk.raw", disk);
    const auto source = Container::open(dir_ / "disk.raw", {.format = "raw"});
    ASSERT_TRUE(source) << source.error().message();
    NoProgress progress;
    Options options = {{"grain_size", GetParam().grain}};
    if (!GetParam().compress) options["subformat"] = "streamOptimized";
    const auto done = convert({.sources = {(*source)->live()},
                               .target = {.path = dir_ / name,
                                          .format = *find_format("vmdk"),
                                          .size = disk.size(),
                                          .options = options,
                                          .compress = GetParam().compress},
                               .parent = nullptr,
                               .threads = 3},
                              progress);
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_EQ(done->encoded, done->copied);
  }

  void expect_same_to_all(const std::string& disk) {
    MUST_RUN(dir_, "qemu-img check x.vmdk");
    MUST_RUN(dir_, "qemu-img convert -f vmdk -O raw x.vmdk qemu.raw");
    EXPECT_TRUE(read_file(dir_ / "qemu.raw") == disk);
    if (have_program("7z")) {
      MUST_RUN(dir_, "7z t x.vmdk");
      MUST_RUN(dir_, "rm -f x.img && 7z x -y x.vmdk");
      EXPECT_TRUE(read_file(dir_ / "x.img") == disk);
    }
    if (have_program("vmdkinfo")) {
      MUST_RUN(dir_, "vmdkinfo x.vmdk");
      EXPECT_NE(read_file(dir_ / "out.txt").find("Stream optimized"), std::string::npos);
    }
    expect_same_to_us("x.vmdk", disk);
  }
  void expect_same_to_us(const std::string& name, const std::string& disk) {
    const auto container = Container::open(dir_ / name);
    ASSERT_TRUE(container) << container.error().message();
    EXPECT_TRUE((*container)->info().warnings.empty());
    std::string seen((*container)->live()->size(), 'x');
    ASSERT_TRUE((*container)->live()->read(0, std::as_writable_bytes(std::span(seen))));
    EXPECT_TRUE(seen == disk);
  }

  TempDir dir_;
};

TEST_P(VmdkStream, IsReadByAllTheSame) {
  for (uint64_t seed = 0; seed < rounds(1); ++seed) {
    std::string disk = random_disk(GetParam().size, seed);
    MUST_RUN(dir_, "rm -f x.vmdk");
    ASSERT_NO_FATAL_FAILURE(make_ours("x.vmdk", disk));
    disk.resize(align_up(disk.size(), 512));
    ASSERT_NO_FATAL_FAILURE(expect_same_to_all(disk));
  }
}

TEST_P(VmdkStream, OfQemuIsReadTheSame) {
  const std::string disk = random_disk(align_up(GetParam().size, 512), 99);
  write_file(dir_ / "disk.raw", disk);
  MUST_RUN(dir_, "qemu-img convert -f raw -O vmdk -o subformat=streamOptimized disk.raw q.vmdk");
  expect_same_to_us("q.vmdk", disk);
}

INSTANTIATE_TEST_SUITE_P(Disks, VmdkStream,
                         testing::Values(Variant{"small", 512}, Variant{"grain", 64 * KiB},
                                         Variant{"grain_and_sector", 64 * KiB + 512},
                                         Variant{"odd", 5 * MiB - 700},
                                         Variant{"two_tables", 33 * MiB + 1536},
                                         Variant{"c", 3 * MiB, "64k", Effort::usual},
                                         Variant{"fast", 40 * MiB - 512, "64k", Effort::fast},
                                         Variant{"small_grains", 9 * MiB + 512, "8k"},
                                         Variant{"large_grains", 5 * MiB, "1M"}),
                         [](const auto& test) { return test.param.name; });

class VmdkEmptyStream : public VmdkStream {};

TEST_P(VmdkEmptyStream, IsReadByAllTheSame) {
  const std::string disk(GetParam().size, '\0');
  ASSERT_TRUE(create_image({.path = dir_ / "x.vmdk",
                            .format = *find_format("vmdk"),
                            .size = disk.size(),
                            .options = {{"subformat", "streamOptimized"}}}));
  expect_same_to_all(disk);
}

INSTANTIATE_TEST_SUITE_P(Disks, VmdkEmptyStream,
                         testing::Values(Variant{"sector", 512}, Variant{"small", 5 * MiB},
                                         Variant{"tables", 100 * MiB}),
                         [](const auto& test) { return test.param.name; });

// The directory of such a disk has two million entries.
TEST(VmdkHugeStream, IsReadByQemu) {
  REQUIRE_QEMU();
  const TempDir dir;
  const uint64_t size = uint64_t{62} * 1024 * GiB, where = uint64_t{60} * 1024 * GiB;
  auto image = NewImage::begin({.path = dir / "x.vmdk",
                                .format = *find_format("vmdk"),
                                .size = size,
                                .options = {{"subformat", "streamOptimized"}}});
  ASSERT_TRUE(image) << image.error().message();
  const std::string grain(64 * KiB, 'h');
  ASSERT_TRUE(image->writer().write(where, std::as_bytes(std::span(grain))));
  ASSERT_TRUE(image->commit());
  MUST_RUN(dir, "qemu-io -r -f vmdk -c 'read -P 0x68 60T 64k' x.vmdk");
  EXPECT_EQ(read_file(dir / "out.txt").find("failed"), std::string::npos);
}

// A child that hides its parent behind data and zeroes, and leaves the rest to it.
TEST(VmdkStreamChild, IsReadByQemu) {
  REQUIRE_QEMU();
  const TempDir dir;
  MUST_RUN(dir,
           "qemu-img create -q -f vmdk base.vmdk 3M && "
           "qemu-io -c 'write -P 1 0 3M' base.vmdk");
  const auto base = Container::open(dir / "base.vmdk");
  ASSERT_TRUE(base) << base.error().message();
  std::string disk(3 * MiB, '\1');
  std::fill_n(disk.begin() + 64 * 1024, 100000, '\2');
  std::fill_n(disk.begin() + 1024 * 1024, 200000, '\0');
  write_file(dir / "disk.raw", disk);
  const auto source = Container::open(dir / "disk.raw", {.format = "raw"});
  ASSERT_TRUE(source);
  NoProgress progress;
  const auto done =
      convert({.sources = {(*source)->live()},
               .target = {.path = dir / "x.vmdk",
                          .format = *find_format("vmdk"),
                          .size = disk.size(),
                          .options = {{"subformat", "streamOptimized"}},
                          .parent = ParentLink{.reference = "base.vmdk",
                                               .format = "vmdk",
                                               .uuid = std::nullopt,
                                               .modification_uuid = std::nullopt,
                                               .content_id = (*base)->info().content_id,
                                               .mtime_s = std::nullopt}},
               .parent = (*base)->live(),
               .threads = 2},
              progress);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_GT(done->same, 0U);
  MUST_RUN(dir, "qemu-img convert -f vmdk -O raw x.vmdk qemu.raw");
  EXPECT_TRUE(read_file(dir / "qemu.raw") == disk);
  const auto container = Container::open(dir / "x.vmdk");
  ASSERT_TRUE(container) << container.error().message();
  std::string seen(disk.size(), 'x');
  ASSERT_TRUE((*container)->live()->read(0, std::as_writable_bytes(std::span(seen))));
  EXPECT_TRUE(seen == disk);
}

}  // namespace
}  // namespace platter::test
