#include "lib/host/mount_users.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "lib/host/mount_table.h"

namespace platter {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostNamed = 16;

// Calls visit(path) for each entry; what vanishes meanwhile or may not be seen is left out.
template <class Visit>
void for_each_entry(const fs::path& directory, Visit&& visit) {
  std::error_code error;
  fs::directory_iterator entries(directory, error);
  while (!error && entries != fs::directory_iterator()) {
    visit(entries->path());
    entries.increment(error);
  }
}

std::string first_line(const fs::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

class Search {
 public:
  explicit Search(std::string point) : point_(std::move(point)) {}

  std::vector<std::string> run() {
    for_each_entry("/sys/block", [this](const fs::path& device) { look_at_device(device); });
    look_at_mounts();
    for_each_entry("/proc", [this](const fs::path& process) { look_at_process(process); });
    return std::move(found_);
  }

 private:
  bool is_inside(std::string_view path) const {
    return path.starts_with(point_) && (path.size() == point_.size() || path[point_.size()] == '/');
  }

  bool links_inside(const fs::path& link) const {
    std::error_code error;
    const fs::path target = fs::read_symlink(link, error);
    return !error && is_inside(target.native());
  }

  void add(std::string user) {
    if (found_.size() < kMostNamed) found_.push_back(std::move(user));
  }

  void look_at_device(const fs::path& device) {
    if (is_inside(first_line(device / "loop/backing_file"))) {
      add("/dev/" + device.filename().native());
    }
  }

  void look_at_mounts() {
    const auto mounts = read_mounts();
    if (!mounts) return;
    for (const HostMount& mount : *mounts) {
      if (mount.point != point_ && is_inside(mount.point)) add("the mount " + mount.point);
    }
  }

  void look_at_process(const fs::path& process) {
    const std::string pid = process.filename().native();
    if (!std::ranges::all_of(pid, [](char c) { return c >= '0' && c <= '9'; })) return;
    if (pid == std::to_string(getpid()) || !uses(process)) return;
    add(fmt::format("process {} ({})", pid, first_line(process / "comm")));
  }

  bool uses(const fs::path& process) const {
    if (links_inside(process / "cwd") || links_inside(process / "root")) return true;
    bool found = false;
    for_each_entry(process / "fd", [&](const fs::path& fd) { found |= links_inside(fd); });
    return found || maps_inside(process / "maps");
  }

  // A line: address perms offset device inode path, the last one with blanks in it as they are.
  bool maps_inside(const fs::path& maps) const {
    std::ifstream in(maps);
    for (std::string line; std::getline(in, line);) {
      const size_t slash = line.find('/');
      if (slash != std::string::npos && is_inside(std::string_view(line).substr(slash))) {
        return true;
      }
    }
    return false;
  }

  const std::string point_;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> mount_users(const std::string& point) { return Search(point).run(); }

}  // namespace platter
