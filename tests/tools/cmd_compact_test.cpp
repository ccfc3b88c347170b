#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "tests/support/bytes.h"
#include "tests/support/qemu.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_keys.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::TempDir;
using testing::HasSubstr;

constexpr uint64_t kDiskSize = 8 * MiB;
constexpr Range kCleared{2 * MiB, 2 * MiB};  // a quarter, in the middle

struct Kind {
  std::string format;
  uint64_t unit = 0;  // bytes of the file for a MiB of the disk; 0: the file keeps its length
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.format; }

class CompactCommand : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    const auto said =
        cli({"create", "-q", "-f", GetParam().format, image_, std::to_string(kDiskSize)});
    ASSERT_EQ(said.status, 0) << said.err;
    write(image_);
  }
  // All of it, and then zeroes over a part, as a guest that knows no discard writes them: in pieces
  // that are no blocks, so that nobody sees that they are zeroes together.
  void write(const std::string& path) const {
    const auto container =
        Container::open(path, {.format = GetParam().format, .access = Access::write});
    ASSERT_TRUE(container) << container.error().message();
    Writer& disk = *(*container)->writer();
    for (uint64_t at = 0; at < kDiskSize; at += MiB) {
      std::vector<std::byte> bytes = test::pattern(at, MiB, 7);
      bytes[0] = bytes[MiB - 1] = std::byte{1};
      ASSERT_TRUE(disk.write(at, bytes));
    }
    const std::vector<std::byte> zeroes(10'000);
    for (uint64_t at = kCleared.offset; at < kCleared.end(); at += zeroes.size()) {
      ASSERT_TRUE(disk.write(
          at, Bytes(zeroes).first(std::min<uint64_t>(zeroes.size(), kCleared.end() - at))));
    }
    ASSERT_TRUE(disk.close());
  }
  static std::vector<std::byte> disk_in(const std::string& path, const std::string& format) {
    const auto container = Container::open(path, {.format = format});
    EXPECT_TRUE(container) << container.error().message();
    if (!container) return {};
    std::vector<std::byte> bytes((*container)->live()->size());
    EXPECT_TRUE((*container)->live()->read(0, bytes));
    return bytes;
  }
  test::Said compacted(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"compact", "-f", GetParam().format});
    more.push_back(image_);
    return cli(more);
  }

  const TempDir dir_;
  const std::string image_ = dir_ / ("a." + GetParam().format);
};

TEST_P(CompactCommand, GivesBackWhatIsZeroAndKeepsTheDisk) {
  const Kind& kind = GetParam();
  const auto before = disk_in(image_, kind.format);
  const auto said = compacted({"--json"}).json();
  ASSERT_TRUE(said.contains("file_size")) << said;
  EXPECT_TRUE(disk_in(image_, kind.format) == before);
  const uint64_t gone = kind.unit == 0 ? 0 : kDiskSize / MiB / 4 * kind.unit;
  EXPECT_EQ(said.at("file_size_before").get<uint64_t>() - said.at("file_size").get<uint64_t>(),
            gone);
  // What the host makes of it is its own, but a part of a MiB.
  EXPECT_GE(said.at("allocated_size_before").get<uint64_t>(),
            said.at("allocated_size").get<uint64_t>() + kCleared.length - MiB);
  if (find_format(kind.format)->can_check()) {
    EXPECT_EQ(cli({"check", "-q", image_}).status, 0);
  }
}

TEST_P(CompactCommand, HasNothingToDoTheSecondTime) {
  ASSERT_EQ(compacted({"-q"}).status, 0);
  const std::string before = test::read_file(image_);
  const auto said = compacted();
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_TRUE(test::read_file(image_) == before);
  EXPECT_THAT(said.out, HasSubstr(image_ + ": "));
}

TEST_P(CompactCommand, LeavesWhatQemuReads) {
  REQUIRE_QEMU();
  const Kind& kind = GetParam();
  const std::string format = test::qemu_name_of(kind.format), name = "a." + kind.format;
  MUST_RUN(dir_, fmt::format("qemu-img convert -f {} -O raw {} before.img", format, name));
  ASSERT_EQ(compacted().status, 0);
  MUST_RUN(dir_, fmt::format("qemu-img compare -f {} -F raw {} before.img", format, name));
  // Of these QEMU's check knows nothing.
  if (format == "raw" || format == "vpc") return;
  MUST_RUN(dir_, fmt::format("qemu-img check -f {} {}", format, name));
}

// Blocks of VHD are of 2 MiB, and begin with a bitmap of 512 bytes.
INSTANTIATE_TEST_SUITE_P(Formats, CompactCommand,
                         testing::ValuesIn(std::vector<Kind>{
                             {"raw", 0}, {"vdi", MiB}, {"vhd", MiB + 256}, {"vmdk", MiB}}),
                         [](const auto& test) { return test.param.format; });

class CompactOf : public testing::Test {
 protected:
  void expect(const std::vector<std::string>& words) const {
    const auto said = cli(words);
    EXPECT_EQ(said.status, 0) << said.err;
  }
  const TempDir dir_;
};

// Every part of the disk is a file of its own.
TEST_F(CompactOf, ASplitSetCutsEachOfItsFiles) {
  const std::string image = dir_ / "a.vmdk";
  expect({"create", "-q", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", image, "5G"});
  const std::vector<std::byte> ones(MiB, std::byte{1}), zeroes(MiB / 2);
  {
    const auto container = Container::open(image, {.access = Access::write});
    ASSERT_TRUE(container) << container.error().message();
    for (const uint64_t at : {uint64_t{0}, 2 * GiB, 4 * GiB}) {
      ASSERT_TRUE((*container)->writer()->write(at, ones));
      ASSERT_TRUE((*container)->writer()->write(at, zeroes));
    }
    ASSERT_TRUE((*container)->writer()->close());
  }
  const auto said = cli({"compact", "--json", image}).json();
  EXPECT_EQ(said.at("file_size_before").get<uint64_t>() - said.at("file_size").get<uint64_t>(),
            3 * MiB / 2);
  expect({"check", "-q", image});
}

// A child knows what its parent held when it was made: that is as it was.
TEST_F(CompactOf, AParentLeavesItsChildrenWhatTheyAre) {
  for (const std::string format : {"vdi", "vmdk", "vhd"}) {
    const std::string parent = dir_ / ("p." + format), child = dir_ / ("c." + format);
    expect({"create", "-q", "-f", format, parent, "8M"});
    {
      const auto container = Container::open(parent, {.access = Access::write});
      ASSERT_TRUE(container) << container.error().message();
      Writer& disk = *(*container)->writer();
      ASSERT_TRUE(disk.write(0, std::vector<std::byte>(8 * MiB, std::byte{1})));
      ASSERT_TRUE(disk.write(0, std::vector<std::byte>(2 * MiB)));
      ASSERT_TRUE(disk.close());
    }
    expect({"create", "-q", "-f", format, "--parent", parent, child});
    const uint64_t size = std::filesystem::file_size(parent);
    expect({"compact", "-q", parent});
    EXPECT_LE(std::filesystem::file_size(parent), size - 2 * MiB) << format;
    expect({"compare", parent, child});
    expect({"compact", "-q", child});
  }
}

TEST_F(CompactOf, WhatHasAPlaceForEveryBlockIsRefusedInALine) {
  for (const auto& [format, options] : std::vector<std::pair<std::string, std::string>>{
           {"vdi", "static=on"}, {"vhd", "fixed=on"}, {"vmdk", "subformat=monolithicFlat"}}) {
    const std::string image = dir_ / ("a." + format);
    expect({"create", "-q", "-f", format, "-o", options, image, "8M"});
    const std::string before = test::read_file(image);
    const auto said = cli({"compact", image});
    EXPECT_EQ(said.status, 1);
    EXPECT_THAT(said.err, testing::StartsWith("platter: " + image + ": a "));
    EXPECT_THAT(said.err, HasSubstr("keeps a place for every"));
    EXPECT_TRUE(test::read_file(image) == before);
  }
}

TEST_F(CompactOf, AFormatWithoutItIsRefused) {
  const std::string image = dir_ / "a.qcow";
  expect({"create", "-q", "-f", "qcow", image, "8M"});
  const auto said = cli({"compact", image});
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.err, HasSubstr("qcow images cannot be compacted"));
}

TEST_F(CompactOf, ARawDiskHasToBeNamed) {
  const std::string image = dir_ / "a.img";
  test::write_file(image, std::string(MiB, '\0'));
  EXPECT_EQ(cli({"compact", image}).status, 1);
  EXPECT_EQ(cli({"compact", "-r", "-f", "raw", image}).status, 2);
  expect({"compact", "-q", "-f", "raw", image});
}

TEST_F(CompactOf, AnImageTellsOfItsProgress) {
  const std::string image = dir_ / "a.vdi";
  expect({"create", "-q", "-f", "vdi", image, "8M"});
  const auto said = cli({"compact", "-q", "--progress", "json", image});
  EXPECT_EQ(said.status, 0) << said.err;
  const auto last = said.err.rfind("{\"done\":");
  ASSERT_NE(last, std::string::npos) << said.err;
  const auto line = nlohmann::json::parse(said.err.substr(last));
  EXPECT_EQ(line.at("done"), line.at("total"));
}

// Blocks that move are encrypted for their new places.
TEST(CompactEncrypted, KeepsTheDiskAndNeedsTheKey) {
  const TempDir dir;
  const std::string image = dir / "secret.qcow2", key = test::key_file_in(dir.path());
  ASSERT_EQ(cli({"create", "-q", "-f", "qcow2", "-o", "encrypt.format=luks,encrypt.iter-time=10",
                 "--key-file", key, image, std::to_string(kDiskSize)})
                .status,
            0);
  std::vector<std::byte> wanted = test::pattern(0, kDiskSize, 3);
  const ContainerOptions options{
      .format = "qcow2", .access = Access::write, .keys = test::test_keys()};
  {
    const auto container = Container::open(image, options);
    ASSERT_TRUE(container) << container.error().message();
    ASSERT_TRUE((*container)->writer()->write(0, wanted));
    // A gap in front.
    ASSERT_TRUE((*container)->writer()->discard({0, 4 * MiB}));
    ASSERT_TRUE((*container)->writer()->close());
  }
  std::fill_n(wanted.begin(), 4 * MiB, std::byte{0});
  const uint64_t before = std::filesystem::file_size(image);
  const auto said = cli({"compact", "--key-file", key, image});
  ASSERT_EQ(said.status, 0) << said.err;
  EXPECT_LE(std::filesystem::file_size(image), before - 3 * MiB);
  const auto container = Container::open(image, options);
  ASSERT_TRUE(container) << container.error().message();
  std::vector<std::byte> seen(kDiskSize);
  ASSERT_TRUE((*container)->live()->read(0, seen));
  EXPECT_TRUE(seen == wanted);
}

}  // namespace
}  // namespace platter
