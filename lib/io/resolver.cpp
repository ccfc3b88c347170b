#include "lib/io/resolver.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lib/io/posix_file.h"

namespace platter {
namespace {

constexpr size_t kMaxCandidates = 4096;

std::string directory_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(path.substr(0, slash == 0 ? 1 : slash));
}

// name in directory, without a "./" in front.
std::string join(const std::string& directory, const std::string& name) {
  if (directory == ".") return name;
  return directory.back() == '/' ? directory + name : directory + "/" + name;
}

// "json:{…}", "nbd://…": what QEMU would take for a protocol. A file of such a name can still be
// meant, as "./json:x".
bool names_a_protocol(std::string_view reference) {
  const size_t colon = reference.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  return std::all_of(reference.begin(), reference.begin() + static_cast<long>(colon), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '-' || c == '.' || c == '_';
  });
}

std::string absolute(const std::string& directory) {
  char* resolved = realpath(directory.c_str(), nullptr);
  std::string result = resolved == nullptr ? directory : resolved;
  free(resolved);
  return result;
}

// directory as the user's shell would call it, symbolic links in the way to it kept.
std::string by_letters(const std::string& directory) {
  if (directory.front() == '/') return directory;
  char* current = get_current_dir_name();
  if (current == nullptr) return directory;
  std::string result = current;
  free(current);
  return directory == "." ? result : join(result, directory);
}

// path relative to directory, when the one lies at or below the other by name.
std::optional<std::string> below(std::string_view path, std::string directory) {
  if (directory.back() != '/') directory += '/';
  if (!path.starts_with(directory)) return std::nullopt;
  path.remove_prefix(directory.size());
  path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
  return std::string(path);
}

// openat2(2), as O_PATH: what is there is found, never opened.
Result<Descriptor> locate(int directory, const std::string& path, uint64_t resolve,
                          const std::string& name) {
  constexpr int kTries = 16;
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = resolve;
  for (int i = 0;; ++i) {
    Descriptor found(
        static_cast<int>(syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how)));
    if (found) return found;
    // EAGAIN: somebody renamed something while a ".." was followed.
    if (i == kTries || (errno != EAGAIN && errno != EINTR)) {
      return system_error(name, "cannot open", errno);
    }
  }
}

// Opens a regular file for reading; a FIFO or a device is only looked at.
Result<FilePtr> open_regular(int directory, const std::string& path, uint64_t resolve,
                             std::string name, Access access = Access::read) {
  const Descriptor handle = TRY(locate(directory, path, resolve, name));
  struct stat st = {};
  if (fstat(handle.get(), &st) != 0) return system_error(name, "cannot stat", errno);
  if (!S_ISREG(st.st_mode)) return Error(Errc::denied, name + ": is not a regular file");
  Descriptor fd(open(fmt::format("/proc/self/fd/{}", handle.get()).c_str(),
                     (access == Access::write ? O_RDWR : O_RDONLY) | O_CLOEXEC));
  if (!fd) return system_error(name, "cannot open", errno);
  return PosixFile::adopt(std::move(fd), std::move(name));
}

class DirectoryResolver final : public Resolver {
 public:
  DirectoryResolver(std::string directory, References policy, uint64_t beside,
                    std::vector<std::string> named)
      : directory_(std::move(directory)),
        policy_(policy),
        beside_(beside),
        named_(std::move(named)) {}

  Result<FilePtr> open(std::string_view reference, Access access) const override {
    const std::string name(reference);
    if (name.empty()) return Error(Errc::corrupt, "names a file without a name");
    if (name.find('\0') != std::string::npos) {
      return Error(Errc::corrupt, "names a file with a zero byte in its name");
    }
    if (names_a_protocol(name)) {
      return Error(Errc::denied, fmt::format("names \"{}\": only file names are followed", name));
    }
    const std::string full = name.front() == '/' ? name : join(directory_, name);
    if (!named_.empty()) {
      const std::string path = std::filesystem::path(absolute(full)).lexically_normal();
      if (std::ranges::find(named_, path) != named_.end()) {
        return open_regular(AT_FDCWD, path, RESOLVE_NO_MAGICLINKS, full, access);
      }
    }
    if (policy_ == References::none) {
      return Error(Errc::denied, fmt::format("names \"{}\", which references=none forbids "
                                             "(references=beside or any would allow it)",
                                             name));
    }
    if (policy_ == References::any) {
      return open_regular(AT_FDCWD, full, RESOLVE_NO_MAGICLINKS, full, access);
    }
    return open_beside(name, full, access);
  }

  Result<void> candidates(std::span<const std::string_view> extensions,
                          const Visit& visit) const override {
    if (policy_ == References::none) return {};
    if (!TRY(offer(directory_, extensions, visit))) return {};
    if (policy_ == References::any || in_snapshots_directory()) {
      (void)TRY(offer(join(directory_, ".."), extensions, visit));
    }
    return {};
  }

  std::unique_ptr<Resolver> for_file(const File& opened) const override {
    return std::make_unique<DirectoryResolver>(directory_of(opened.name()), policy_, beside_,
                                               named_);
  }

 private:
  bool in_snapshots_directory() const { return absolute(directory_).ends_with("/Snapshots"); }

  // A directory at or below which files may be named, and how the reference is called from there.
  struct Root {
    std::string directory;
    std::string reference;
  };

  // The narrowest first. A relative name is looked up from the image's directory, whatever bounds
  // it; an absolute one must lie there by its letters.
  std::vector<Root> roots(const std::string& name) const {
    std::vector<Root> found;
    const std::string own = absolute(directory_);
    const std::string above = directory_of(own);
    const bool wider = in_snapshots_directory();
    if (name.front() != '/') {
      found.push_back({own, name});
      if (wider) found.push_back({above, own.substr(own.rfind('/') + 1) + "/" + name});
      return found;
    }
    std::vector<std::pair<std::string, std::string>> known{{own, own},
                                                           {by_letters(directory_), own}};
    if (wider) known.emplace_back(above, above);
    for (const auto& [letters, directory] : known) {
      const std::optional<std::string> inside = below(name, letters);
      if (inside && !inside->empty()) found.push_back({directory, *inside});
    }
    return found;
  }

  Result<FilePtr> open_beside(const std::string& name, const std::string& full,
                              Access access) const {
    for (const auto& [directory, reference] : roots(name)) {
      const Descriptor dir(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
      if (!dir) return system_error(directory, "cannot open", errno);
      Result<FilePtr> file =
          open_regular(dir.get(), reference, beside_ | RESOLVE_NO_MAGICLINKS, full, access);
      // EXDEV: it leads out of this one.
      if (file || file.error().sys_errno() != EXDEV) return file;
    }
    return Error(Errc::denied,
                 fmt::format("names \"{}\", which is not at or below its own directory "
                             "(references=any would allow it)",
                             name));
  }

  // False: visit wants no more.
  Result<bool> offer(const std::string& path, std::span<const std::string_view> extensions,
                     const Visit& visit) const {
    const Descriptor dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!dir) return system_error(path, "cannot list", errno);
    for (const std::string& name : TRY(list(path, extensions))) {
      const std::string full = join(path, name);
      const Result<FilePtr> file =
          open_regular(dir.get(), name, beside_ | RESOLVE_NO_SYMLINKS, full);
      if (file && !TRY(visit({full, *file}))) return false;
    }
    return true;
  }

  static Result<std::vector<std::string>> list(const std::string& path,
                                               std::span<const std::string_view> extensions) {
    DIR* dir = opendir(path.c_str());
    if (dir == nullptr) return system_error(path, "cannot list", errno);
    std::vector<std::string> names;
    while (const dirent* entry = readdir(dir)) {
      if (names.size() >= kMaxCandidates) break;
      if (has_extension(entry->d_name, extensions)) names.emplace_back(entry->d_name);
    }
    closedir(dir);
    std::sort(names.begin(), names.end());
    return names;
  }

  static bool has_extension(std::string_view name, std::span<const std::string_view> extensions) {
    const size_t dot = name.rfind('.');
    if (dot == std::string_view::npos) return false;
    const std::string_view extension = name.substr(dot + 1);
    return std::any_of(extensions.begin(), extensions.end(), [&](std::string_view known) {
      return std::equal(extension.begin(), extension.end(), known.begin(), known.end(),
                        [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
    });
  }

  std::string directory_;
  References policy_;
  uint64_t beside_;  // how openat2() resolves what lies beside
  std::vector<std::string> named_;
};

class DenyResolver final : public Resolver {
 public:
  explicit DenyResolver(std::string reason) : reason_(std::move(reason)) {}
  Result<FilePtr> open(std::string_view reference, Access /*access*/) const override {
    return Error(Errc::denied, fmt::format("names \"{}\": {}", reference, reason_));
  }
  Result<void> candidates(std::span<const std::string_view> /*extensions*/,
                          const Visit& /*visit*/) const override {
    return Error(Errc::denied, "has a parent: " + reason_);
  }
  std::unique_ptr<Resolver> for_file(const File& /*opened*/) const override {
    return deny_resolver(reason_);
  }

 private:
  std::string reason_;
};

class MapResolver final : public Resolver {
 public:
  explicit MapResolver(std::map<std::string, FilePtr> files) : files_(std::move(files)) {}
  Result<FilePtr> open(std::string_view reference, Access /*access*/) const override {
    const auto found = files_.find(std::string(reference));
    if (found != files_.end()) return found->second;
    return Error(Errc::not_found, fmt::format("{}: no such file", reference));
  }
  Result<void> candidates(std::span<const std::string_view> /*extensions*/,
                          const Visit& visit) const override {
    for (const auto& [name, file] : files_) {
      if (!TRY(visit({name, file}))) break;
    }
    return {};
  }
  std::unique_ptr<Resolver> for_file(const File& /*opened*/) const override {
    return map_resolver(files_);
  }

 private:
  std::map<std::string, FilePtr> files_;
};

}  // namespace

Result<References> parse_references(std::string_view word) {
  if (word == "none") return References::none;
  if (word == "beside") return References::beside;
  if (word == "any") return References::any;
  return Error(Errc::invalid, fmt::format("references={}: must be none, beside or any", word));
}

std::unique_ptr<Resolver> directory_resolver(const std::string& image_path, References policy,
                                             bool cross_mounts, std::vector<std::string> named) {
  const uint64_t beside = RESOLVE_BENEATH | (cross_mounts ? 0 : RESOLVE_NO_XDEV);
  return std::make_unique<DirectoryResolver>(directory_of(image_path), policy, beside,
                                             std::move(named));
}

std::unique_ptr<Resolver> deny_resolver(std::string reason) {
  return std::make_unique<DenyResolver>(std::move(reason));
}

std::unique_ptr<Resolver> map_resolver(std::map<std::string, FilePtr> files) {
  return std::make_unique<MapResolver>(std::move(files));
}

}  // namespace platter
