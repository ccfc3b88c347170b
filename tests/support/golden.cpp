#include "tests/support/golden.h"

#include <algorithm>
#include <filesystem>

namespace platter::test {

std::vector<Golden> golden_images() {
  namespace fs = std::filesystem;
  std::vector<Golden> found;
  for (const auto& folder : fs::directory_iterator(fs::path(PLATTER_SOURCE_DIR) / "formats")) {
    const fs::path golden = folder.path() / "golden";
    if (!fs::is_directory(golden)) continue;
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
