// The descriptions that the hand-made images under formats/vhd/golden come from (HOW.txt there).
// What the images map and read as is tested with those of the other formats.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/support/temp_dir.h"
#include "tests/support/vhd_builder.h"

namespace platter::vhd {
namespace {

namespace fs = std::filesystem;
using test::VhdBuilder;

// Next to the sources, which are above the build folder.
fs::path vhd_golden() {
  std::error_code ignored;
  fs::path at = fs::read_symlink("/proc/self/exe", ignored);
  while (at.has_relative_path()) {
    at = at.parent_path();
    if (fs::exists(at / "formats/vhd/golden", ignored)) return at / "formats/vhd/golden";
  }
  return {};
}

Uuid vhd_id(unsigned n) {
  Uuid uuid = *Uuid::parse("706c6174-7465-4200-8001-000000000000");
  uuid.bytes[15] = static_cast<std::byte>(n);
  return uuid;
}

VhdBuilder child_of(unsigned parent, const std::string& name) {
  VhdBuilder b{.type = 4, .uuid = vhd_id(parent + 1), .parent_uuid = vhd_id(parent)};
  b.parent_name = name;
  b.locators = {{.code = "W2ru", .text = test::utf16le(".\\" + name)}};
  return b;
}

// Those that no other program makes.
std::map<std::string, VhdBuilder> vhds_made_by_hand() {
  std::map<std::string, VhdBuilder> all;
  VhdBuilder& dynamic = all["dynamic"];
  dynamic = {.disk_size = 7 * 4096 - 1024, .uuid = vhd_id(1)};
  dynamic.blocks = {{.first = 0x10}, {.bits = {0x0f}, .first = 0x20}, {.first = 0x30}};
  dynamic.point({2, -1, -1, 0, 1, -1, -1});
  VhdBuilder& virtual_pc = all["virtual-pc"];
  virtual_pc = {.creator = "vpc ", .cylinders = 2, .heads = 4, .track = 3, .uuid = vhd_id(2)};
  virtual_pc.blocks = {{.first = 0x40}};
  virtual_pc.point({-1, 0, -1, -1});
  virtual_pc.file_size = virtual_pc.tail_at() + 511;
  VhdBuilder& cut = all["cut"];
  cut = {.uuid = vhd_id(3)};
  cut.blocks = {{.first = 0x50}};
  cut.point({0, -1});
  cut.tail = false;
  VhdBuilder& base = all["base"];
  base = {.uuid = vhd_id(4)};
  base.blocks = {{.first = 0x60}, {.first = 0x70}};
  base.point({0, -1, 1, -1});
  VhdBuilder& child = all["child"];
  child = child_of(4, "base.vhd");
  child.blocks = {{.bits = {0x3c}, .first = 0x80}, {.bits = {0x01}, .first = 0x90}};
  child.point({1, -1, 0, -1});
  VhdBuilder& grandchild = all["grandchild"];
  grandchild = child_of(5, "child.vhd");
  grandchild.header_offset = 1024;
  grandchild.table_offset = 2048 + 512;
  grandchild.blocks = {{.bits = {0x80}, .first = 0xa0}};
  grandchild.point({-1, -1, -1, 0});
  return all;
}

// PLATTER_WRITE_GOLDEN=1 writes them anew.
TEST(VhdGolden, HandMadeImagesAreWhatTheBuilderMakes) {
  for (const auto& [name, builder] : vhds_made_by_hand()) {
    const fs::path path = vhd_golden() / (name + ".vhd");
    const auto bytes = builder.build();
    if (std::getenv("PLATTER_WRITE_GOLDEN") != nullptr) test::write_file(path, Bytes(bytes));
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    EXPECT_TRUE(test::read_file(path) == text) << name;
  }
}

}  // namespace
}  // namespace platter::vhd
