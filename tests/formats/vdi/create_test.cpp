#include "formats/vdi/create.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "lib/container/container.h"
#include "lib/container/extent_walk.h"
#include "lib/image/registry.h"
#include "lib/io/posix_file.h"
#include "tests/formats/vdi/vdi_names.h"
#include "tests/support/temp_dir.h"

namespace platter::vdi {
namespace {

using testing::HasSubstr;

Result<ImageWriterPtr> create(FilePtr file, uint64_t size, const Options& options = {}) {
  return find_format("vdi")->create({.file = std::move(file), .size = size, .options = options});
}

uint32_t word(const File& file, uint64_t at) {
  const auto value = file.read_struct<le32>(at);
  if (!value) throw std::runtime_error(value.error().message());
  return *value;
}

std::vector<std::byte> filled(size_t length, int value) {
  return std::vector<std::byte>(length, static_cast<std::byte>(value));
}

TEST(VdiCreate, LaysADynamicImageOutAsVirtualBoxDoes) {
  const auto file = std::make_shared<MemoryFile>("new.vdi");
  auto writer = create(file, 5 * MiB);
  ASSERT_TRUE(writer) << writer.error().message();
  EXPECT_EQ((*writer)->block_size(), MiB);
  ASSERT_TRUE((*writer)->write(0, filled(MiB, 0xbb)));
  ASSERT_TRUE((*writer)->write(2 * MiB, filled(2 * MiB, 0xaa)));
  ASSERT_TRUE((*writer)->finish());
  EXPECT_EQ(word(*file, 0x40), 0xbeda107fu);
  EXPECT_EQ(word(*file, 0x44), 0x00010001u);
  EXPECT_EQ(word(*file, 0x48), 400u);
  EXPECT_EQ(word(*file, 0x4c), 1u);
  EXPECT_EQ(word(*file, 0x154), 4096u);
  EXPECT_EQ(word(*file, 0x158), 8192u);
  EXPECT_EQ(word(*file, 0x170), 5 * MiB);
  EXPECT_EQ(word(*file, 0x180), 5u);
  EXPECT_EQ(word(*file, 0x184), 3u);
  const uint32_t map[] = {0, kF, 1, 2, kF};
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(word(*file, 4096 + 4 * i), map[i]) << i;
  EXPECT_EQ(file->stat()->size, 8192 + 3 * MiB);
  const auto image = test::open_vdi(file);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->info().variant, "dynamic");
  EXPECT_TRUE((*image)->info().warnings.empty());
  EXPECT_NE((*image)->info().uuid, (*image)->info().modification_uuid);
}

TEST(VdiCreate, GivesEveryBlockOfAStaticImageItsPlace) {
  const auto file = std::make_shared<MemoryFile>("new.vdi");
  auto writer = create(file, 5 * MiB - 1000, {{"static", "on"}});
  ASSERT_TRUE(writer) << writer.error().message();
  ASSERT_TRUE((*writer)->write(2 * MiB, filled(MiB, 0xaa)));
  ASSERT_TRUE((*writer)->write(4 * MiB, filled(MiB - 1000, 0xbb)));
  ASSERT_TRUE((*writer)->finish());
  EXPECT_EQ(word(*file, 0x4c), 2u);
  EXPECT_EQ(word(*file, 0x184), 5u);
  for (uint32_t i = 0; i < 5; ++i) EXPECT_EQ(word(*file, 4096 + 4 * i), i);
  EXPECT_EQ(file->stat()->size, 8192 + 5 * MiB);
  EXPECT_LT(file->stat()->allocated, 3 * MiB);
  const auto image = test::open_vdi(file);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->info().variant, "static");
  EXPECT_EQ((*image)->size(), 5 * MiB - 512);
  EXPECT_EQ((*image)->map({0, 5 * MiB - 512})->guest.length, 5 * MiB - 512);
}

TEST(VdiCreate, MakesADiskOfOneByteASector) {
  const auto file = std::make_shared<MemoryFile>("new.vdi");
  auto writer = create(file, 1);
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->write(0, filled(1, 0x99)));
  ASSERT_TRUE((*writer)->finish());
  const auto image = test::open_vdi(file);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->size(), 512u);
}

TEST(VdiCreate, IsNoImageBeforeItIsFinished) {
  const auto file = std::make_shared<MemoryFile>("new.vdi");
  auto writer = create(file, 5 * MiB);
  ASSERT_TRUE((*writer)->write(0, filled(MiB, 0xbb)));
  const auto image = test::open_vdi(file);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code(), Errc::wrong_format);
}

TEST(VdiCreate, WritesAMapOfSeveralPieces) {
  // 40000 entries: two whole pieces of 16384 and a part of one.
  const auto file = std::make_shared<MemoryFile>("new.vdi");
  auto writer = create(file, 40000 * MiB);
  for (const uint64_t block : {0u, 16383u, 16384u, 39999u}) {
    ASSERT_TRUE((*writer)->write(block * MiB, filled(MiB, 1)));
  }
  ASSERT_TRUE((*writer)->finish());
  std::vector<uint64_t> found;
  for (uint64_t i = 0; i < 40000; ++i) {
    if (word(*file, 4096 + 4 * i) != kF) found.push_back(i);
  }
  EXPECT_THAT(found, testing::ElementsAre(0, 16383, 16384, 39999));
}

TEST(VdiCreate, RefusesSizesNoHeaderCanHold) {
  const auto file = std::make_shared<MemoryFile>("new.vdi");
  EXPECT_EQ(create(file, 0).error().code(), Errc::invalid);
  constexpr uint64_t kLargest = 0x3ffff7ff * MiB;
  EXPECT_TRUE(create(file, kLargest));
  const auto refused = create(file, kLargest + 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::invalid);
  EXPECT_THAT(refused.error().message(), HasSubstr("at most"));
  EXPECT_FALSE(create(file, ~uint64_t{0}));
}

TEST(VdiCreate, RefusesAnUnknownWordForStatic) {
  const auto refused = create(std::make_shared<MemoryFile>("x"), MiB, {{"static", "maybe"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "static=maybe: must be on or off");
}

TEST(VdiCreate, RefusesWritesThatAreNotTheNextWholeBlocks) {
  auto writer = *create(std::make_shared<MemoryFile>("x"), 10 * MiB + 1);
  EXPECT_FALSE(writer->write(512, filled(MiB, 1)));
  EXPECT_FALSE(writer->write(0, filled(512, 1)));
  EXPECT_TRUE(writer->write(MiB, filled(MiB, 1)));
  EXPECT_FALSE(writer->write(MiB, filled(MiB, 1)));
  EXPECT_FALSE(writer->write(0, filled(MiB, 1)));
  EXPECT_FALSE(writer->write(10 * MiB, filled(MiB, 1)));
  EXPECT_FALSE(writer->write(~uint64_t{0} - MiB + 1, filled(MiB, 1)));
  EXPECT_TRUE(writer->write(10 * MiB, filled(1, 1)));
}

// What qemu-img says of our images, and we of its.
class VdiInterop : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v qemu-img >/dev/null") != 0) {
      GTEST_SKIP() << "qemu-img is not installed";
    }
  }

  int run(const std::string& command) {
    return std::system(("cd " + dir_.path() + " && " + command + " >out 2>&1").c_str());
  }
  std::string output() const { return test::read_file(dir_ / "out"); }

  // A disk with a little data at both ends and in the middle.
  static constexpr uint64_t kSize = 37 * MiB + 5 * 512;
  void write_pattern(ImageWriter& writer) {
    ASSERT_TRUE(writer.write(0, filled(MiB, 1)));
    ASSERT_TRUE(writer.write(17 * MiB, filled(2 * MiB, 2)));
    ASSERT_TRUE(writer.write(37 * MiB, filled(5 * 512, 3)));
    ASSERT_TRUE(writer.finish());
  }

  void expect_qemu_reads(const Options& options) {
    auto file = PosixFile::create(dir_ / "ours.vdi");
    ASSERT_TRUE(file) << file.error().message();
    auto writer = create(*file, kSize, options);
    ASSERT_TRUE(writer) << writer.error().message();
    write_pattern(**writer);
    auto raw = PosixFile::create(dir_ / "pattern.raw");
    write_pattern(**find_format("raw")->create({.file = *raw, .size = kSize, .options = {}}));
    EXPECT_EQ(run("qemu-img check -f vdi ours.vdi"), 0) << output();
    EXPECT_EQ(run("qemu-img compare -f vdi -F raw ours.vdi pattern.raw"), 0) << output();
  }

  void expect_same_as(const std::string& vdi, const std::string& raw) {
    const auto ours = Container::open(dir_ / vdi);
    ASSERT_TRUE(ours) << ours.error().message();
    const auto theirs = Container::open(dir_ / raw, {.format = "raw"});
    ASSERT_TRUE(theirs) << theirs.error().message();
    ASSERT_EQ((*ours)->live()->size(), (*theirs)->live()->size());
    std::vector<std::byte> a((*ours)->live()->size()), b(a.size());
    ASSERT_TRUE((*ours)->live()->read(0, a));
    ASSERT_TRUE((*theirs)->live()->read(0, b));
    EXPECT_TRUE(a == b);
  }

  test::TempDir dir_;
};

TEST_F(VdiInterop, QemuReadsOurDynamicImage) { expect_qemu_reads({}); }
TEST_F(VdiInterop, QemuReadsOurStaticImage) { expect_qemu_reads({{"static", "on"}}); }

TEST_F(VdiInterop, WeReadWhatQemuConverts) {
  auto raw = PosixFile::create(dir_ / "pattern.raw");
  write_pattern(**find_format("raw")->create({.file = *raw, .size = kSize, .options = {}}));
  ASSERT_EQ(run("qemu-img convert -f raw -O vdi pattern.raw dynamic.vdi"), 0) << output();
  ASSERT_EQ(run("qemu-img convert -f raw -O vdi -o static=on pattern.raw static.vdi"), 0);
  expect_same_as("dynamic.vdi", "pattern.raw");
  expect_same_as("static.vdi", "pattern.raw");
}

TEST_F(VdiInterop, WeReadWhatQemuWritesBackToFront) {
  ASSERT_EQ(run("qemu-img create -f vdi x.vdi 9M"), 0) << output();
  if (run("command -v qemu-io") != 0) GTEST_SKIP() << "qemu-io is not installed";
  for (const char* write : {"-P 1 8M 700k", "-P 2 5M 1M", "-P 3 1500k 1M", "-P 4 5100k 8k"}) {
    ASSERT_EQ(run("qemu-io -f vdi -c 'write " + std::string(write) + "' x.vdi"), 0) << output();
  }
  ASSERT_EQ(run("qemu-img convert -f vdi -O raw x.vdi x.raw"), 0) << output();
  expect_same_as("x.vdi", "x.raw");
}

TEST_F(VdiInterop, AgreesWithQemuOnTheSizeOfADiskOfNoWholeSectors) {
  ASSERT_EQ(run("qemu-img create -f vdi x.vdi 1000000"), 0) << output();
  const auto ours = Container::open(dir_ / "x.vdi");
  ASSERT_TRUE(ours) << ours.error().message();
  EXPECT_EQ((*ours)->live()->size(), 1000448u);
}

}  // namespace
}  // namespace platter::vdi
