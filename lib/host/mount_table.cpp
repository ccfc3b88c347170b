#include "lib/host/mount_table.h"

#include <stdlib.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>

#include "lib/io/posix_file.h"

namespace platter {
namespace {

constexpr const char* kMountInfo = "/proc/self/mountinfo";

bool is_octal(char c) { return c >= '0' && c <= '7'; }

// "\040" is a blank: the kernel escapes blanks, tabs, newlines and backslashes like this.
std::string unescape(const std::string& word) {
  std::string plain;
  for (size_t i = 0; i < word.size(); ++i) {
    const bool escape = word[i] == '\\' && i + 3 < word.size() && is_octal(word[i + 1]) &&
                        is_octal(word[i + 2]) && is_octal(word[i + 3]);
    if (!escape) {
      plain += word[i];
      continue;
    }
    const int code = (word[i + 1] - '0') * 64 + (word[i + 2] - '0') * 8 + (word[i + 3] - '0');
    plain += static_cast<char>(code);
    i += 3;
  }
  return plain;
}

// id parent major:minor root point options [optional fields] - type source super-options
std::optional<HostMount> parse_line(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words{std::istream_iterator<std::string>(in), {}};
  size_t dash = 6;
  while (dash < words.size() && words[dash] != "-") ++dash;
  if (dash + 2 >= words.size()) return std::nullopt;
  return HostMount{.point = unescape(words[4]),
                   .type = unescape(words[dash + 1]),
                   .source = unescape(words[dash + 2]),
                   .device = words[2]};
}

}  // namespace

std::vector<HostMount> parse_mounts(std::string_view text) {
  std::vector<HostMount> mounts;
  std::istringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) {
    if (auto mount = parse_line(line)) mounts.push_back(std::move(*mount));
  }
  return mounts;
}

Result<std::vector<HostMount>> read_mounts() {
  std::ifstream in(kMountInfo);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (text.empty()) return Error(Errc::io, std::string(kMountInfo) + ": cannot be read");
  return parse_mounts(text);
}

Result<std::string> absolute_mountpoint(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  const std::unique_ptr<char, decltype(&free)> whole(realpath(path.c_str(), nullptr), free);
  if (whole) return std::string(whole.get());
  // The root of a filesystem whose daemon died cannot be looked at.
  if (errno != ENOTCONN) return system_error(path, "cannot be found", errno);
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::unique_ptr<char, decltype(&free)> real(realpath(parent.c_str(), nullptr), free);
  if (!real) return system_error(path, "cannot be found", errno);
  const std::string directory = real.get();
  return (directory == "/" ? "" : directory) + "/" + path.substr(slash + 1);
}

Result<std::string> mounted_type(const std::string& point) {
  std::string type;
  for (const HostMount& mount : TRY(read_mounts())) {
    if (mount.point == point) type = mount.type;
  }
  return type;
}

}  // namespace platter
