// The descriptions that the hand-made images under formats/vdi/golden come from (HOW.txt there).
// What the images map and read as is tested with those of the other formats.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/formats/vdi/vdi_names.h"
#include "tests/support/temp_dir.h"

namespace platter::vdi {
namespace {

namespace fs = std::filesystem;
using test::VdiBuilder;

// Next to the sources, which are above the build folder.
fs::path golden() {
  std::error_code ignored;
  fs::path at = fs::read_symlink("/proc/self/exe", ignored);
  while (at.has_relative_path()) {
    at = at.parent_path();
    if (fs::exists(at / "formats/vdi/golden", ignored)) return at / "formats/vdi/golden";
  }
  return {};
}

Uuid golden_id(unsigned n) {
  Uuid uuid = *Uuid::parse("706c6174-7465-4200-8000-000000000000");
  uuid.bytes[15] = static_cast<std::byte>(n);
  return uuid;
}

// Those that no other program makes.
std::map<std::string, VdiBuilder> made_by_hand() {
  std::map<std::string, VdiBuilder> all;
  all["dynamic"] = {.comment = "a dynamic image",
                    .map = {2, kF, kZ, 0, 1, kF, kF},
                    .disk_size = 7 * 4096 - 700,
                    .uuid = golden_id(1),
                    .modification_uuid = golden_id(2),
                    .lchs = {1, 2, 3, 512},
                    .data = {0x10, 0x20, 0x30}};
  all["static"] = {.type = 2,
                   .map = {0, 1, 2},
                   .uuid = golden_id(3),
                   .modification_uuid = golden_id(4),
                   .data = {0x40, 0x50, 0x60}};
  all["short"] = {.map = {1, 0},
                  .uuid = golden_id(5),
                  .modification_uuid = golden_id(6),
                  .data = {0x70, 0x80},
                  .file_size = 1024 + 4096 + 1000};
  all["extra"] = {.header_size = 384,
                  .block_size = 1024,
                  .block_extra = 512,
                  .map = {1, 0, kZ, kF},
                  .uuid = golden_id(7),
                  .modification_uuid = golden_id(8),
                  .data = {0x90, 0xa0}};
  all["version-0.2"] = {.version = 2,
                        .map = {kF, 1, 0},
                        .uuid = golden_id(9),
                        .modification_uuid = golden_id(10),
                        .data = {0xb0, 0xc0}};
  all["version-1.0"] = {.version = 0x00010000,
                        .header_size = 384,
                        .map = {1, kF, 0},
                        .uuid = golden_id(11),
                        .modification_uuid = golden_id(12),
                        .data = {0xd0, 0xe0}};
  all["base"] = {.map = {0, kF, kZ, 1, kF},
                 .uuid = golden_id(13),
                 .modification_uuid = golden_id(14),
                 .data = {0x11, 0x22}};
  all["child"] = {.type = 4,
                  .map = {kF, 0, kF, kZ, kF},
                  .uuid = golden_id(15),
                  .modification_uuid = golden_id(16),
                  .parent_uuid = golden_id(13),
                  .parent_modification_uuid = golden_id(14),
                  .data = {0x33}};
  all["undo"] = all["child"];
  all["undo"].type = 3;
  all["undo"].uuid = golden_id(17);
  all["undo"].modification_uuid = golden_id(18);
  return all;
}

// PLATTER_WRITE_GOLDEN=1 writes them anew.
TEST(VdiGolden, HandMadeImagesAreWhatTheBuilderMakes) {
  for (const auto& [name, builder] : made_by_hand()) {
    const fs::path path = golden() / (name + ".vdi");
    const auto bytes = builder.build();
    if (std::getenv("PLATTER_WRITE_GOLDEN") != nullptr) test::write_file(path, Bytes(bytes));
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    EXPECT_TRUE(test::read_file(path) == text) << name;
  }
}

}  // namespace
}  // namespace platter::vdi
