#include "tests/support/golden.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "tests/support/temp_dir.h"

namespace platter::test {
namespace {

namespace fs = std::filesystem;

// A folder in which NAME.EXT.gz is unpacked: for images that are mostly holes.
fs::path unpacked_folder(const fs::path& golden, const std::string& format) {
  static const TempDir copies;
  const fs::path copy = copies / format;
  if (fs::exists(copy)) return copy;
  bool packed = false;
  for (const auto& entry : fs::directory_iterator(golden)) {
    packed = packed || entry.path().extension() == ".gz";
  }
  if (!packed) return golden;
  fs::copy(golden, copy);
  const std::string line = fmt::format("gzip -d '{}'/*.gz", copy.string());
  return std::system(line.c_str()) == 0 ? copy : golden;
}

}  // namespace

std::vector<Golden> golden_images() {
  std::vector<Golden> found;
  for (const auto& folder : fs::directory_iterator(fs::path(PLATTER_SOURCE_DIR) / "formats")) {
    if (!fs::is_directory(folder.path() / "golden")) continue;
    const fs::path golden = unpacked_folder(folder.path() / "golden", folder.path().filename());
    for (const auto& entry : fs::directory_iterator(golden)) {
      fs::path map = entry.path();
      if (map.extension() != ".map") continue;
      fs::path digest = map;
      digest.replace_extension(".sha256");
      for (const auto& other : fs::directory_iterator(golden)) {
        const fs::path& image = other.path();
        if (image.stem() != map.stem() || image == map || image == digest) continue;
        // An external data file is called like its image, NAME.raw.
        const std::string format = folder.path().filename();
        if (image.extension() == ".raw" && format != "raw") continue;
        found.push_back({format, map.stem(), image, map, digest});
      }
    }
  }
  std::sort(found.begin(), found.end(),
            [](const Golden& a, const Golden& b) { return a.image < b.image; });
  return found;
}

}  // namespace platter::test
