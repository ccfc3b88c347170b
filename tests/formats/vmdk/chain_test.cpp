// Children on disk: parents by hint, CID and VirtualBox's UUIDs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include <fmt/format.h>

#include "lib/container/container.h"
#include "tests/support/temp_dir.h"
#include "tests/support/vmdk_builder.h"

namespace platter::vmdk {
namespace {

using test::VmdkBuilder;
using testing::HasSubstr;

class VmdkChain : public testing::Test {
 protected:
  void write(const std::string& name, const VmdkBuilder& builder) {
    const auto bytes = builder.build();
    test::write_file(dir_ / name, Bytes(bytes));
  }
  // The first byte of a grain, or -1.
  int grain(const std::string& name, uint64_t number) {
    const auto container = Container::open(dir_ / name);
    std::byte value{};
    const bool read =
        container && (*container)->live()->read(number * 4096, MutableBytes(&value, 1));
    return read ? std::to_integer<int>(value) : -1;
  }
  std::string why_not(const std::string& name) {
    const auto container = Container::open(dir_ / name);
    return container ? "" : container.error().message();
  }

  test::TempDir dir_;
};

VmdkBuilder base() { return {.table = {32, 40}, .data = {0x10, 0x20}}; }
VmdkBuilder child(const std::string& lines, const std::string& ddb = "") {
  std::string text = test::vmdk_text("monolithicSparse", {"RW 75 SPARSE \"c.vmdk\""}, lines) + ddb;
  const std::string none = "parentCID=ffffffff\n";
  if (lines.find("parentCID") != std::string::npos) text.erase(text.find(none), none.size());
  return {.version = 2, .flags = 7, .descriptor = text, .table = {0, 1, 32}, .data = {0x30}};
}

TEST_F(VmdkChain, AParentShowsWhereTheChildHasNothing) {
  write("b.vmdk", base());
  write("c.vmdk", child("parentCID=0A1B2C3D\nparentFileNameHint=\"b.vmdk\"\n"));
  EXPECT_EQ(grain("c.vmdk", 0), 0x10);
  EXPECT_EQ(grain("c.vmdk", 1), 0);
  EXPECT_EQ(grain("c.vmdk", 2), 0x30);
}

TEST_F(VmdkChain, AParentOfAnotherDirectoryIsFoundBesideTheChild) {
  write("b.vmdk", base());
  for (const char* hint : {"/vmfs/volumes/x/b.vmdk", "C:\\VMs\\b.vmdk", "sub\\b.vmdk"}) {
    write("c.vmdk",
          child("parentCID=0a1b2c3d\nparentFileNameHint=\"" + std::string(hint) + "\"\n"));
    EXPECT_EQ(grain("c.vmdk", 0), 0x10) << hint;
  }
}

TEST_F(VmdkChain, AParentThatWasChangedIsRefused) {
  write("b.vmdk", base());
  write("c.vmdk", child("parentCID=0a1b2c3e\nparentFileNameHint=\"b.vmdk\"\n"));
  EXPECT_THAT(why_not("c.vmdk"), HasSubstr("was changed after"));
}

TEST_F(VmdkChain, AParentThatIsMissingIsNamed) {
  write("c.vmdk", child("parentCID=0a1b2c3d\nparentFileNameHint=\"b.vmdk\"\n"));
  EXPECT_THAT(why_not("c.vmdk"), HasSubstr("\"b.vmdk\" is missing"));
  write("c.vmdk", child("parentCID=0a1b2c3d\n"));
  EXPECT_THAT(why_not("c.vmdk"), HasSubstr("does not say which"));
}

// VirtualBox's children have neither hint nor CID.
TEST_F(VmdkChain, AParentIsFoundByItsUuids) {
  constexpr auto kId = "11111111-2222-4333-8444-555555555555";
  constexpr auto kModification = "21111111-2222-4333-8444-555555555555";
  VmdkBuilder parent = base();
  parent.more_ddb =
      fmt::format("ddb.uuid.image=\"{}\"\nddb.uuid.modification=\"{}\"\n", kId, kModification);
  write("b.vmdk", parent);
  write("other.vmdk", base());
  write("c.vmdk", child("", fmt::format("ddb.uuid.parent=\"{}\"\n"
                                        "ddb.uuid.parentmodification=\"{}\"\n",
                                        kId, kModification)));
  EXPECT_EQ(grain("c.vmdk", 0), 0x10);
  write("c.vmdk", child("", fmt::format("ddb.uuid.parent=\"{}\"\n"
                                        "ddb.uuid.parentmodification=\"{}\"\n",
                                        kId, kId)));
  EXPECT_THAT(why_not("c.vmdk"), HasSubstr("was changed after"));
}

TEST_F(VmdkChain, PartsAreFoundBesideTheDescriptorWhereverItIsOpenedFrom) {
  test::write_file(dir_ / "d.vmdk",
                   test::vmdk_text("monolithicFlat", {"RW 8 FLAT \"d-flat.vmdk\" 0"}));
  test::write_file(dir_ / "d-flat.vmdk", std::string(4096, 'f'));
  EXPECT_EQ(grain("d.vmdk", 0), 'f');
  std::filesystem::rename(dir_ / "d-flat.vmdk", dir_ / "e-flat.vmdk");
  EXPECT_THAT(why_not("d.vmdk"), HasSubstr("extent 1 (\"d-flat.vmdk\"): is missing"));
}

TEST_F(VmdkChain, DevicesAndFilesElsewhereAreNotOpened) {
  for (const char* name : {"/dev/zero", "../x.vmdk", "/etc/passwd"}) {
    test::write_file(dir_ / "d.vmdk",
                     test::vmdk_text("fullDevice", {fmt::format("RW 8 FLAT \"{}\" 0", name)}));
    EXPECT_THAT(why_not("d.vmdk"), HasSubstr("not at or below its own directory")) << name;
  }
  test::write_file(dir_ / "d.vmdk", test::vmdk_text("fullDevice", {"RW 8 FLAT \"/dev/zero\" 0"}));
  const auto device = Container::open(dir_ / "d.vmdk", {.references = References::any});
  ASSERT_FALSE(device);
  EXPECT_THAT(device.error().message(), HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace platter::vmdk
