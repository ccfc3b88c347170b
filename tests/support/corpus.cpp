#include "tests/support/corpus.h"

#include <cstdlib>
#include <filesystem>

namespace platter::test {

std::optional<std::string> corpus_file(const std::string& name) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (const char* named = std::getenv("PLATTER_CORPUS")) {
    const fs::path path = fs::path(named) / name;
    return fs::exists(path, ignored) ? std::optional(path.string()) : std::nullopt;
  }
  // Tests are built in build/PRESET of the source tree.
  fs::path at = fs::read_symlink("/proc/self/exe", ignored);
  for (int up = 0; up < 5 && at.has_parent_path(); ++up) {
    at = at.parent_path();
    const fs::path path = at / "shared" / "corpus" / name;
    if (fs::exists(path, ignored)) return path.string();
  }
  return std::nullopt;
}

}  // namespace platter::test
