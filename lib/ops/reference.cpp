#include "lib/ops/reference.h"

#include <filesystem>

#include <fmt/format.h>

namespace platter {

namespace fs = std::filesystem;

// Links in the way would make "../" lead elsewhere: both ends are resolved first.
Result<std::string> reference_from(const std::string& image, const std::string& target) {
  std::error_code error;
  const fs::path directory = fs::weakly_canonical(fs::absolute(image).parent_path(), error);
  const fs::path resolved = error ? fs::path() : fs::weakly_canonical(fs::absolute(target), error);
  if (error) {
    return Error(Errc::io, fmt::format("{}: cannot tell where it is: {}", target, error.message()),
                 error.value());
  }
  std::string reference = resolved.lexically_relative(directory).string();
  const size_t first = reference.find_first_of(":/");
  if (first != std::string::npos && reference[first] == ':') reference.insert(0, "./");
  return reference;
}

Result<void> check_reference(std::string_view reference, References policy) {
  const bool outside = reference.starts_with("../") || reference.starts_with('/');
  if (policy == References::any || !outside) return {};
  return Error(Errc::denied,
               fmt::format("\"{}\" is not at or below the image's own directory (references=any "
                           "would allow it)",
                           reference));
}

}  // namespace platter
