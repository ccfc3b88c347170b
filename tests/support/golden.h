// The golden images: formats/*/golden/NAME.EXT, or NAME.EXT.gz, with NAME.map and NAME.sha256
// beside them.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace platter::test {

struct Golden {
  std::string format;              // the folder's name
  std::string name;                // without the extension
  std::string image, map, digest;  // paths
};

inline void PrintTo(const Golden& golden, std::ostream* out) { *out << golden.image; }

// By name; none when the folders are not there.
std::vector<Golden> golden_images();

}  // namespace platter::test
