#include "fusefs/holders.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include <fmt/format.h>

namespace platter::fusefs {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNamed = 8;  // holders a message names

std::string first_line(const fs::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

bool below(const std::string& path, const std::string& mountpoint) {
  return path.starts_with(mountpoint) &&
         (path.size() == mountpoint.size() || path[mountpoint.size()] == '/');
}

// Reading the link of a descriptor asks the filesystem behind it nothing.
bool has_open(const fs::path& process, const std::string& mountpoint) {
  std::error_code error;
  for (fs::directory_iterator fd(process / "fd", error), end; !error && fd != end;
       fd.increment(error)) {
    std::error_code gone;
    if (below(fs::read_symlink(fd->path(), gone).native(), mountpoint)) return true;
  }
  return false;
}

template <class Visit>
void each_entry(const fs::path& directory, Visit&& visit) {
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    visit(entry->path());
  }
}

}  // namespace

std::string holders_of(const std::string& mountpoint) {
  std::vector<std::string> found;
  each_entry("/proc", [&](const fs::path& process) {
    const std::string pid = process.filename();
    if (!std::all_of(pid.begin(), pid.end(), [](char c) { return c >= '0' && c <= '9'; })) return;
    if (has_open(process, mountpoint)) {
      found.push_back(fmt::format("process {} ({})", pid, first_line(process / "comm")));
    }
  });
  each_entry("/sys/block", [&](const fs::path& device) {
    if (below(first_line(device / "loop/backing_file"), mountpoint)) {
      found.push_back("/dev/" + device.filename().native());
    }
  });
  const size_t more = found.size() > kNamed ? found.size() - kNamed : 0;
  found.resize(found.size() - more);
  std::string text = fmt::format("{}", fmt::join(found, ", "));
  if (more > 0) text += fmt::format(" and {} more", more);
  return text;
}

}  // namespace platter::fusefs
