// What the library does to images as a whole.
#include <platter/images.h>

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lib/base/range.h"
#include "tests/support/bytes.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::pattern;
using test::TempDir;

constexpr uint64_t kCopiedDisk = 4 * MiB;

class Images : public testing::Test {
 protected:
  Images() {
    VirtualDisk disk;
    EXPECT_TRUE(disk.create_base({.path = source_.path, .format = "vdi", .size = kCopiedDisk}));
    EXPECT_TRUE(disk.write(MiB, pattern(MiB, MiB, 1)));
    EXPECT_TRUE(disk.close());
  }
  TempDir dir_;
  const OpenImage source_{.path = dir_ / "a.vdi"};
};

TEST_F(Images, EveryFormatSaysWhatItCan) {
  const std::vector<FormatFacts> all = formats();
  ASSERT_GE(all.size(), 10U);
  for (const FormatFacts& format : all) {
    EXPECT_TRUE(format.read);
    EXPECT_FALSE(format.extensions.empty());
    EXPECT_EQ(format.create, !format.variants.empty()) << format.name;
    std::string upper = format.name;
    for (char& c : upper) c = static_cast<char>(std::toupper(c));
    ASSERT_TRUE(format_named(upper)) << upper;
    EXPECT_EQ(format_named(upper)->name, format.name);
  }
  EXPECT_TRUE(std::ranges::is_sorted(all, {}, &FormatFacts::name));
  ASSERT_FALSE(format_named("none"));
  EXPECT_EQ(format_named("none").error().code(), Errc::invalid);
  EXPECT_TRUE(format_named("qcow2")->snapshot);
  EXPECT_FALSE(format_named("dmg")->write);
}

TEST_F(Images, AProbeSaysWhatAFileIs) {
  const auto vdi = probe_format(source_.path);
  ASSERT_TRUE(vdi);
  EXPECT_EQ(vdi->name, "vdi");
  EXPECT_FALSE(vdi->guessed);
  EXPECT_EQ(vdi->kind, VirtualDisk::Kind::hard_disk);
  test::write_file(dir_ / "b.ISO", std::string(4096, 'x'));
  const auto raw = probe_format(dir_ / "b.ISO");
  ASSERT_TRUE(raw);
  EXPECT_EQ(raw->name, "raw");
  EXPECT_TRUE(raw->guessed);
  EXPECT_EQ(raw->kind, VirtualDisk::Kind::dvd);
  test::write_file(dir_ / "empty", std::string_view());
  ASSERT_FALSE(probe_format(dir_ / "empty"));
  EXPECT_EQ(probe_format(dir_ / "empty").error().code(), Errc::wrong_format);
  EXPECT_EQ(probe_format(dir_ / "missing").error().code(), Errc::not_found);
}

TEST_F(Images, AreDescribedAsTheToolDoes) {
  const auto text = describe_image(source_);
  ASSERT_TRUE(text);
  const auto object = nlohmann::json::parse(*text);
  EXPECT_EQ(object["format"], "vdi");
  EXPECT_EQ(object["virtual_size"], kCopiedDisk);
  EXPECT_FALSE(describe_image({.path = dir_ / "missing"}));
}

TEST_F(Images, ACopyShowsTheSameDiskInAnotherFormat) {
  uint64_t last = 0;
  const auto watch = [&](uint64_t done, uint64_t total) {
    EXPECT_LE(done, total);
    last = done;
    return true;
  };
  ASSERT_TRUE(copy_image(source_,
                         {.path = dir_ / "b.qcow2", .format = "qcow2", .size = 2 * kCopiedDisk},
                         {.compress = true}, watch));
  EXPECT_GT(last, 0U);
  const auto same = compare_images(source_, {.path = dir_ / "b.qcow2"});
  ASSERT_TRUE(same);
  EXPECT_EQ(*same, std::nullopt);
  VirtualDisk disk;
  ASSERT_TRUE(disk.open({.path = dir_ / "b.qcow2"}));
  EXPECT_EQ(disk.size(), 2 * kCopiedDisk);
  ASSERT_TRUE(disk.write(MiB + 5, pattern(0, 1, 9)));
  ASSERT_TRUE(disk.close());
  const auto differ = compare_images(source_, {.path = dir_ / "b.qcow2"});
  ASSERT_TRUE(differ) << differ.error().message();
  EXPECT_EQ(*differ, MiB + 5);
}

TEST_F(Images, ACopyOverAParentHasOnlyWhatDiffers) {
  ASSERT_TRUE(copy_image(source_, {.path = dir_ / "base.vdi", .format = "vdi"}));
  {
    VirtualDisk disk;
    ASSERT_TRUE(disk.open(source_));
    ASSERT_TRUE(disk.write(3 * MiB, pattern(0, 1000, 2)));
  }
  ASSERT_TRUE(copy_image(source_, {.path = dir_ / "child.vdi", .format = "vdi"},
                         {.parent = dir_ / "base.vdi"}));
  VirtualDisk child;
  ASSERT_TRUE(child.open_chain({.path = dir_ / "child.vdi"}));
  EXPECT_EQ(child.count(), 2U);
  const auto lower = child.map({.offset = MiB, .length = 1});
  const auto upper = child.map({.offset = 3 * MiB, .length = 1});
  ASSERT_TRUE(lower && upper);
  EXPECT_EQ(lower->image, 0U);
  EXPECT_EQ(upper->image, 1U);
  EXPECT_TRUE(child.close_all());
  const auto same = compare_images(source_, {.path = dir_ / "child.vdi"});
  ASSERT_TRUE(same) << same.error().message();
  EXPECT_EQ(*same, std::nullopt);
}

TEST_F(Images, ACopyThatIsStoppedLeavesNoFile) {
  const auto stop = [](uint64_t, uint64_t) { return false; };
  const auto done = copy_image(source_, {.path = dir_ / "b.qcow2", .format = "qcow2"}, {}, stop);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::cancelled);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "b.qcow2"));
}

TEST_F(Images, ACheckFindsAndMends) {
  const auto clean = check_image(source_);
  ASSERT_TRUE(clean);
  EXPECT_EQ(clean->errors + clean->leaks, 0U);
  // One block more than the map knows.
  std::string file = test::read_file(source_.path);
  file.append(MiB, '\0');
  test::write_file(source_.path, file);
  const auto leaking = check_image(source_);
  ASSERT_TRUE(leaking);
  EXPECT_GT(leaking->leaks, 0U);
  EXPECT_FALSE(leaking->messages.empty());
  EXPECT_GT(check_image(source_, RepairWhat::leaks)->repaired, 0U);
  EXPECT_EQ(check_image(source_)->leaks, 0U);
}

}  // namespace
}  // namespace platter
