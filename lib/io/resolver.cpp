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

// path relative to directory, when the one lies at or below the other by name.
std::optional<std::string> below(std::string_view path, std::string directory) {
  if (directory.back() != '/') directory += '/';
  if (!path.starts_with(directory)) return std::nullopt;
  return std::string(path.substr(directory.size()));
}

// Opens a regular file for reading; first as O_PATH, so that a FIFO or a device is only looked at.
Result<FilePtr> open_regular(int directory, const std::string& path, uint64_t resolve,
                             std::string name) {
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = resolve;
  const Descriptor handle(
      static_cast<int>(syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how)));
  if (!handle) return system_error(name, "cannot open", errno);
  struct stat st = {};
  if (fstat(handle.get(), &st) != 0) return system_error(name, "cannot stat", errno);
  if (!S_ISREG(st.st_mode)) return Error(Errc::denied, name + ": is not a regular file");
  Descriptor fd(open(fmt::format("/proc/self/fd/{}", handle.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return system_error(name, "cannot open", errno);
  return PosixFile::adopt(std::move(fd), std::move(name));
}

class DirectoryResolver final : public Resolver {
 public:
  DirectoryResolver(std::string directory, References policy)
      : directory_(std::move(directory)), policy_(policy) {}

  Result<FilePtr> open(std::string_view reference) const override {
    const std::string name(reference);
    if (name.empty() || name.find('\0') != std::string::npos) {
      return Error(Errc::corrupt, "names a file without a name");
    }
    if (names_a_protocol(name)) {
      return Error(Errc::denied, fmt::format("names \"{}\": only file names are followed", name));
    }
    if (policy_ == References::none) {
      return Error(Errc::denied, fmt::format("names \"{}\", which references=none forbids "
                                             "(references=beside or any would allow it)",
                                             name));
    }
    const std::string full = name.front() == '/' ? name : directory_ + "/" + name;
    if (policy_ == References::any) {
      return open_regular(AT_FDCWD, full, RESOLVE_NO_MAGICLINKS, shorten(full));
    }
    return open_beside(name, full);
  }

  Result<std::vector<Candidate>> candidates(
      std::span<const std::string_view> extensions) const override {
    std::vector<Candidate> found;
    if (policy_ == References::none) return found;
    TRY(collect(".", extensions, found));
    if (policy_ == References::any || in_snapshots_directory())
      TRY(collect("..", extensions, found));
    return found;
  }

  std::unique_ptr<Resolver> for_file(const File& opened) const override {
    return std::make_unique<DirectoryResolver>(directory_of(opened.name()), policy_);
  }

 private:
  bool in_snapshots_directory() const { return absolute(directory_).ends_with("/Snapshots"); }

  static std::string shorten(const std::string& path) {
    return path.starts_with("./") ? path.substr(2) : path;
  }

  // The directories the policy allows, the narrowest first.
  std::vector<std::string> allowed() const {
    std::vector<std::string> roots{directory_};
    if (in_snapshots_directory()) roots.push_back(directory_ + "/..");
    return roots;
  }

  Result<FilePtr> open_beside(const std::string& name, const std::string& full) const {
    for (const std::string& root : allowed()) {
      const std::string base = absolute(root);
      // An absolute name may lie beside by its letters; a relative one is looked up from the
      // image's directory, whatever root bounds it.
      std::optional<std::string> inside =
          name.front() == '/' ? below(name, base) : below_root(root, name);
      if (name.front() == '/' && !inside) inside = below(name, directory_);
      if (!inside || inside->empty()) continue;
      const Descriptor dir(::open(base.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
      if (!dir) return system_error(base, "cannot open", errno);
      Result<FilePtr> file =
          open_regular(dir.get(), *inside, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS, shorten(full));
      if (file || file.error().sys_errno() != EXDEV) return file;
    }
    return Error(Errc::denied,
                 fmt::format("names \"{}\", which is not at or below its own directory "
                             "(references=any would allow it)",
                             name));
  }

  // name as seen from root, which is the image's directory or the one above it.
  std::optional<std::string> below_root(const std::string& root, const std::string& name) const {
    if (root == directory_) return name;
    const std::string own = absolute(directory_);
    return own.substr(own.rfind('/') + 1) + "/" + name;
  }

  Result<void> collect(const std::string& where, std::span<const std::string_view> extensions,
                       std::vector<Candidate>& found) const {
    const std::string path = where == "." ? directory_ : directory_ + "/" + where;
    DIR* dir = opendir(path.c_str());
    if (dir == nullptr) return system_error(path, "cannot list", errno);
    std::vector<std::string> names;
    while (const dirent* entry = readdir(dir)) {
      if (names.size() >= kMaxCandidates) break;
      if (has_extension(entry->d_name, extensions)) names.emplace_back(entry->d_name);
    }
    closedir(dir);
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      const std::string full = shorten(path + "/" + name);
      // What cannot be opened cannot be the parent; why is said when nothing is found.
      Result<FilePtr> file =
          open_regular(AT_FDCWD, full, RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS, full);
      if (file && found.size() < kMaxCandidates) found.push_back({full, *file});
    }
    return {};
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
};

class DenyResolver final : public Resolver {
 public:
  explicit DenyResolver(std::string reason) : reason_(std::move(reason)) {}
  Result<FilePtr> open(std::string_view reference) const override {
    return Error(Errc::denied, fmt::format("names \"{}\": {}", reference, reason_));
  }
  Result<std::vector<Candidate>> candidates(
      std::span<const std::string_view> /*extensions*/) const override {
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
  Result<FilePtr> open(std::string_view reference) const override {
    const auto found = files_.find(std::string(reference));
    if (found != files_.end()) return found->second;
    return Error(Errc::not_found, fmt::format("{}: no such file", reference));
  }
  Result<std::vector<Candidate>> candidates(
      std::span<const std::string_view> /*extensions*/) const override {
    std::vector<Candidate> all;
    for (const auto& [name, file] : files_) all.push_back({name, file});
    return all;
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

std::unique_ptr<Resolver> directory_resolver(const std::string& image_path, References policy) {
  return std::make_unique<DirectoryResolver>(directory_of(image_path), policy);
}

std::unique_ptr<Resolver> deny_resolver(std::string reason) {
  return std::make_unique<DenyResolver>(std::move(reason));
}

std::unique_ptr<Resolver> map_resolver(std::map<std::string, FilePtr> files) {
  return std::make_unique<MapResolver>(std::move(files));
}

}  // namespace platter
