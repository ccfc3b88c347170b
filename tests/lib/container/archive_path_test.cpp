#include "lib/container/archive_path.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "tests/support/ova_builder.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::OvaBuilder;
using testing::HasSubstr;

class ArchivePath : public testing::Test {
 protected:
  ArchivePath() {
    const OvaBuilder ova{.disks = {{.member = "a.img", .content = std::string(1024, 'a')},
                                   {.member = "b.img", .content = std::string(512, 'b')}}};
    test::write_file(path_, ova.build());
    test::write_file(dir_ / "plain.img", std::string(512, 'p'));
  }
  std::string named(const std::string& path, const Format* format = nullptr,
                    Access access = Access::read) const {
    const auto image = open_named(path, format, access, Links::follow);
    return image ? (*image).file->name() : image.error().message();
  }

  const test::TempDir dir_;
  const std::string path_ = dir_ / "x.ova";
};

TEST_F(ArchivePath, LeadsToAFileOrToADiskInIt) {
  EXPECT_EQ(named(dir_ / "plain.img"), dir_ / "plain.img");
  EXPECT_EQ(named(path_ + "/a.img"), path_ + "/a.img");
  EXPECT_THAT(named(path_), HasSubstr("is an archive of 2 disks"));
  EXPECT_THAT(named(path_ + "/c.img"), HasSubstr("the archive has no such disk (a.img, b.img)"));
  EXPECT_THAT(named(path_ + "/"), HasSubstr("the archive has no such disk"));
  EXPECT_THAT(named(dir_ / "none"), HasSubstr("No such file"));
  EXPECT_THAT(named(dir_ / "plain.img/a.img"), HasSubstr("Not a directory"));
  EXPECT_THAT(named(path_ + "/a.img/b.img"), HasSubstr("Not a directory"));
}

TEST_F(ArchivePath, WithAFormatIsTheFileOrTheDiskOfIt) {
  const Format* const raw = find_format("raw");
  EXPECT_EQ(named(path_, raw), path_);
  EXPECT_EQ(open_named(path_ + "/a.img", raw, Access::read, Links::follow)->format, raw);
  EXPECT_EQ(open_named(path_ + "/a.img", find_format("ova"), Access::read, Links::follow)->format,
            nullptr);
  EXPECT_THAT(named(path_, find_format("ova")), HasSubstr("is an archive of 2 disks"));
  EXPECT_THAT(named(dir_ / "plain.img", find_format("ova")), HasSubstr("tar: has no header"));
}

TEST_F(ArchivePath, IsNeverWritten) {
  for (const char* member : {"", "/a.img"}) {
    const auto image = open_named(path_ + member, nullptr, Access::write, Links::follow);
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().code(), Errc::read_only);
  }
}

TEST_F(ArchivePath, MayBeWrittenInTwoWays) {
  std::filesystem::create_symlink("x.ova", dir_ / "link.ova");
  EXPECT_TRUE(name_the_same(path_ + "/a.img", dir_ / "./link.ova/a.img"));
  EXPECT_TRUE(name_the_same(path_, dir_ / "link.ova"));
  EXPECT_FALSE(name_the_same(path_ + "/a.img", path_ + "/b.img"));
  EXPECT_FALSE(name_the_same(path_ + "/a.img", path_));
  EXPECT_FALSE(name_the_same(dir_ / "none", dir_ / "none"));
}

TEST_F(ArchivePath, OpensTheDiskOfTheOneAndOnlyTheOther) {
  const auto container = Container::open(path_ + "/b.img");
  ASSERT_TRUE(container) << container.error().message();
  EXPECT_EQ((*container)->live()->size(), 512u);
  EXPECT_TRUE((*container)->chain().front().guessed);
  EXPECT_EQ((*container)->chain().front().file_name(), "b.img");
}

}  // namespace
}  // namespace platter
