// Commands that are given an archive of disks, or one of its disks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/disk_images.h"
#include "tests/support/ova_builder.h"
#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::OvaBuilder;
using test::Said;
using test::TempDir;
using testing::HasSubstr;

class ArchiveOfDisks : public testing::Test {
 protected:
  // A qcow2 image over another one in the archive, that one, and a raw disk.
  ArchiveOfDisks() {
    const std::string base = dir_ / "base.img", top = dir_ / "top.qcow2", vdi = dir_ / "b.vdi";
    base_ = test::sector_text(test::kOverlaySize, 1);
    raw_ = test::sector_text(64 * KiB, 2);
    test::write_overlay(top, "base.img", "raw");
    test::write_file(base, raw_);
    EXPECT_EQ(cli({"convert", "-q", "-f", "raw", "-O", "vdi", base, vdi}).status, 0);
    OvaBuilder one{
        .disks = {{.member = "disk.vdi", .content = test::read_file(vdi), .capacity = 64 * KiB}}};
    test::write_file(one_, one.build());
    OvaBuilder several{
        .disks = {{.member = "top.vmdk",
                   .content = test::read_file(top),
                   .capacity = test::kOverlaySize,
                   .parent = "disk2"},
                  {.member = "base.img", .content = base_, .capacity = test::kOverlaySize},
                  {.member = "data.vmdk", .content = test::read_file(vdi), .capacity = 1000}}};
    test::write_file(several_, several.build());
  }

  const TempDir dir_;
  const std::string one_ = dir_ / "one.ova", several_ = dir_ / "several.ova";
  std::string base_, raw_;
};

TEST_F(ArchiveOfDisks, IsListedByInfo) {
  const auto info = cli({"info", "--json", several_}).json();
  ASSERT_TRUE(info.is_object());
  EXPECT_EQ(info.at("format"), "ova");
  EXPECT_EQ(info.at("systems").dump(), R"(["vm"])");
  const auto& disks = info.at("disks");
  ASSERT_EQ(disks.size(), 3u);
  EXPECT_EQ(disks[0].at("id"), "disk1");
  EXPECT_EQ(disks[0].at("member"), "top.vmdk");
  EXPECT_EQ(disks[0].at("format"), "qcow2");
  EXPECT_EQ(disks[0].at("parent"), "disk2");
  EXPECT_EQ(disks[1].at("format"), "raw");
  EXPECT_EQ(disks[1].at("size"), test::kOverlaySize);
  EXPECT_EQ(disks[2].at("format"), "vdi");
  EXPECT_EQ(disks[2].at("virtual_size"), 64 * KiB);
  EXPECT_EQ(disks[2].at("capacity"), 1000);
  EXPECT_EQ(disks[2].at("problem"), nullptr);
  const std::string bytes = test::read_file(several_);
  EXPECT_EQ(bytes.substr(disks[1].at("offset").get<size_t>(), base_.size()), base_);
  EXPECT_EQ(info.at("warnings").size(), 1u);
  const Said said = cli({"info", several_});
  EXPECT_EQ(said.status, 0);
  EXPECT_THAT(said.out, HasSubstr("disks:\n  ID     CAPACITY  FORMAT"));
  EXPECT_THAT(said.out, HasSubstr("qcow2 (over disk2)"));
}

TEST_F(ArchiveOfDisks, SaysWhatTheDiskNamedInItIs) {
  const auto info = cli({"info", "--json", several_ + "/data.vmdk"}).json();
  ASSERT_TRUE(info.is_object());
  EXPECT_EQ(info.at("file"), several_ + "/data.vmdk");
  EXPECT_EQ(info.at("format"), "vdi");
  EXPECT_THAT(info.at("warnings").dump(),
              HasSubstr("the archive says that the disk has 1000 bytes"));
  const auto chain = cli({"info", "--json", "--chain", several_ + "/top.vmdk"}).json();
  ASSERT_TRUE(chain.is_object());
  EXPECT_EQ(chain.at("chain").at(1).at("file"), several_ + "/base.img");
}

TEST_F(ArchiveOfDisks, OfOneDiskIsThatDisk) {
  ASSERT_EQ(cli({"convert", "-q", "-O", "raw", one_, dir_ / "out.img"}).status, 0);
  EXPECT_TRUE(test::read_file(dir_ / "out.img") == raw_);
  EXPECT_EQ(cli({"compare", one_, one_ + "/disk.vdi"}).status, 0);
  EXPECT_EQ(cli({"map", one_}).status, 0);
  EXPECT_EQ(cli({"convert", "-q", "-f", "ova", "-O", "raw", one_, dir_ / "out2.img"}).status, 0);
}

TEST_F(ArchiveOfDisks, OfSeveralHasToBeAskedForOneOfThem) {
  const Said said = cli({"convert", "-O", "raw", several_, dir_ / "out.img"});
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(said.err, "platter: " + several_ +
                          ": is an archive of 3 disks: several.ova/NAME is one of them "
                          "(top.vmdk, base.img, data.vmdk)\n");
  EXPECT_THAT(cli({"map", several_ + "/other"}).err,
              HasSubstr("the archive has no such disk (top.vmdk, "));
  EXPECT_THAT(cli({"map", dir_ / "base.img/x"}).err, HasSubstr("Not a directory"));
  ASSERT_EQ(cli({"convert", "-q", "-O", "raw", several_ + "/top.vmdk", dir_ / "out.img"}).status,
            0);
  EXPECT_TRUE(test::read_file(dir_ / "out.img") == std::string(512, '\xd5') + base_.substr(512));
}

TEST_F(ArchiveOfDisks, IsNeverChanged) {
  const std::string before = test::read_file(one_);
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"resize", one_, "1M"},
                                             {"set", one_, "comment=x"},
                                             {"check", "--repair", "all", one_},
                                             {"snapshot", "create", one_, "s"},
                                             {"resize", one_ + "/disk.vdi", "1M"}}) {
    const Said said = cli(words);
    EXPECT_EQ(said.status, 1) << words[0];
    EXPECT_THAT(said.err, HasSubstr("disks in an archive are only read")) << words[0];
  }
  EXPECT_TRUE(test::read_file(one_) == before);
}

TEST_F(ArchiveOfDisks, IsNoParentOfAnImageOutside) {
  const Said said = cli({"create", "-f", "qcow2", "--parent", one_, dir_ / "child.qcow2"});
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.err, HasSubstr("child.qcow2"));
  EXPECT_EQ(
      cli({"create", "-f", "qcow2", "--parent", one_ + "/disk.vdi", dir_ / "child.qcow2"}).status,
      1);
  EXPECT_EQ(cli({"info", dir_ / "child.qcow2"}).status, 1);
}

TEST_F(ArchiveOfDisks, IsCheckedWithTheImagesInIt) {
  EXPECT_EQ(cli({"check", several_}).status, 0);
  std::string text = test::read_file(several_);
  text[text.size() - 3000] ^= 1;  // in the last member
  test::write_file(several_, text);
  const Said said = cli({"check", several_});
  EXPECT_EQ(said.status, 2);
  EXPECT_THAT(said.out, HasSubstr("\"data.vmdk\" has another sha256 than the manifest says"));
}

}  // namespace
}  // namespace platter
