// The descriptions that the hand-made images under formats/vhdx/golden come from (HOW.txt there).
// What the images map and read as is tested with those of the other formats.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/support/golden.h"
#include "tests/support/temp_dir.h"
#include "tests/support/vhdx_builder.h"

namespace platter::vhdx {
namespace {

namespace fs = std::filesystem;
using test::VhdxBuilder;

Uuid golden_guid(unsigned n) {
  Uuid uuid = *Uuid::parse("706c6174-7465-4200-8100-000000000000");
  uuid.bytes[15] = static_cast<std::byte>(n);
  return uuid;
}

VhdxBuilder golden_child(unsigned data_write) {
  VhdxBuilder builder{.data_write = golden_guid(data_write), .parameters = 2};
  builder.locator = {{"parent_linkage", "{" + golden_guid(2).to_string() + "}"},
                     {"relative_path", ".\\base.vhdx"},
                     {"absolute_win32_path", "C:\\images\\base.vhdx"}};
  return builder;
}

VhdxBuilder golden_log() {
  VhdxBuilder builder{.data_write = golden_guid(5), .log_guid = golden_guid(6)};
  builder.data.push_back({kData, MiB, 0x60});
  std::vector<std::byte> bat(4096), data(4096, std::byte{0x77});
  store(bat, 0, le64(kData | 6));
  data.front() = std::byte{0x78};
  data.back() = std::byte{0x79};
  builder.log = {
      {.at = 0x8000,
       .sequence = 3,
       .tail = 0x8000,
       .pages = {{kData + 8192, std::vector<std::byte>(4096, std::byte{0xbb})}}},
      {.at = 0xff000, .sequence = 10, .tail = 0xff000, .pages = {{VhdxBuilder::kBat, bat}}},
      {.at = 0x1000,
       .sequence = 11,
       .tail = 0xff000,
       .pages = {{kData + 4096, data}},
       .zeroes = {{kData + 65536, 8192}}}};
  return builder;
}

// Those that no other program makes.
std::map<std::string, VhdxBuilder> made_by_hand() {
  std::map<std::string, VhdxBuilder> all;
  VhdxBuilder states{.data_write = golden_guid(1), .disk_size = 6 * MiB + 512};
  const uint64_t kinds[] = {6, 0, 1, 2, 3, 5};
  for (uint64_t block = 0; block < std::size(kinds); ++block) {
    states.put_block(block, block, static_cast<uint8_t>(0x10 * block), kinds[block]);
  }
  states.put_block(6, 6, 0x70);
  all["states"] = states;

  VhdxBuilder base{.data_write = golden_guid(2)};
  base.put_block(0, 0, 0x11);
  base.put_block(2, 1, 0x22);
  base.put_block(3, 2, 0x33);
  all["base"] = base;

  VhdxBuilder child = golden_child(3);
  child.put_block(1, 0, 0x44);
  child.bat[2] = 2;
  child.put_block(3, 1, 0x55, 7);
  child.bat[4096] = (kData + 2 * MiB) | 6;
  child.bytes[kData + 2 * MiB + 3 * 256] = {std::byte{0x0e}, std::byte{0}, std::byte{0xff}};
  all["child"] = child;

  VhdxBuilder large = golden_child(4);
  large.sector_size = 4096;
  large.put_block(0, 0, 0x66, 7);
  large.bat[32768] = (kData + MiB) | 6;
  large.bytes[kData + MiB] = {std::byte{0x81}};
  all["sectors-4k"] = large;

  all["log"] = golden_log();
  return all;
}

// PLATTER_WRITE_GOLDEN=DIRECTORY writes them there, not packed.
TEST(VhdxGolden, HandMadeImagesAreWhatTheBuilderMakes) {
  std::map<std::string, std::string> found;
  for (const test::Golden& golden : test::golden_images()) {
    if (golden.format == "vhdx") found[golden.name] = golden.image;
  }
  for (const auto& [name, builder] : made_by_hand()) {
    const auto file = builder.file();
    std::vector<std::byte> bytes(file->stat()->size);
    ASSERT_TRUE(file->read_exact(0, bytes));
    if (const char* to = std::getenv("PLATTER_WRITE_GOLDEN")) {
      test::write_file((fs::path(to) / (name + ".vhdx")).string(), Bytes(bytes));
      continue;
    }
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    EXPECT_TRUE(test::read_file(found[name]) == text) << name;
  }
}

}  // namespace
}  // namespace platter::vhdx
