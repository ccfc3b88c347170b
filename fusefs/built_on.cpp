#include "fusefs/built_on.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include <fmt/format.h>

#include "lib/io/posix_file.h"

namespace platter::fusefs {
namespace {

namespace fs = std::filesystem;

// What has that name, seen from the directory, and is on the same mount as it is.
Descriptor locate(const fs::path& directory, const std::string& name) {
  const Descriptor from(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS;
  return Descriptor(
      static_cast<int>(syscall(SYS_openat2, from.get(), name.c_str(), &how, sizeof how)));
}

std::string path_of(const Descriptor& handle) {
  return fmt::format("/proc/self/fd/{}", handle.get());
}

class Ancestors {
 public:
  // everywhere: names may lead to other mounts.
  Ancestors(const std::string& format, bool everywhere)
      : format_(format), everywhere_(everywhere) {}

  void add(const std::string& path, Links links) {
    if (auto image = describe(path, format_, links)) images_.push_back(*std::move(image));
  }
  void add_directory(const fs::path& directory) {
    add_entries(directory);
    const Descriptor snapshots = locate(directory, "Snapshots");
    struct stat st = {};
    if (snapshots && fstat(snapshots.get(), &st) == 0 && S_ISDIR(st.st_mode)) {
      add_entries(directory / "Snapshots");
    }
  }

  std::set<FileId> find() {
    for (const Described& image : images_) {
      for (const auto& id : {image.uuid, image.modification_uuid}) {
        if (id) by_id_.emplace(id->to_string(), &image);
      }
    }
    for (const Described& image : images_) walk_up(image);
    return std::move(found_);
  }

 private:
  void add_entries(const fs::path& directory) {
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
      if (entry.symlink_status(error).type() == fs::file_type::regular) {
        add(entry.path(), Links::refuse);
      }
    }
  }

  void walk_up(const Described& start) {
    std::vector<Described> images{start};
    while (!images.empty()) {
      const Described image = std::move(images.back());
      images.pop_back();
      for (Described& parent : parents_of(image)) {
        // Whoever was here before went on to the end.
        if (found_.insert(parent.id).second) images.push_back(std::move(parent));
      }
    }
  }

  // All that could be it: which one it is shows when the image is opened.
  std::vector<Described> parents_of(const Described& image) const {
    if (!image.parent) return {};
    const ParentLink& link = *image.parent;
    std::vector<std::string> names = link.other_references;
    if (!link.reference.empty()) names.push_back(link.reference);
    std::vector<Described> parents;
    for (const std::string& name : names) {
      auto parent = named(fs::path(image.path).parent_path(), name, link.format);
      if (parent) parents.push_back(*std::move(parent));
    }
    for (const auto& id : {link.uuid, link.modification_uuid}) {
      if (!id) continue;
      const auto [first, last] = by_id_.equal_range(id->to_string());
      for (auto known = first; known != last; ++known) parents.push_back(*known->second);
    }
    return parents;
  }

  std::optional<Described> named(const fs::path& directory, const std::string& name,
                                 const std::string& format) const {
    const fs::path path = directory / name;
    if (everywhere_) return describe(path, format, Links::follow);
    const std::string prefix = directory.native() + "/";
    if (!path.native().starts_with(prefix)) return std::nullopt;
    const Descriptor handle = locate(directory, path.native().substr(prefix.size()));
    if (!handle) return std::nullopt;
    std::optional<Described> parent = describe(path_of(handle), format, Links::follow);
    if (parent) parent->path = path;
    return parent;
  }

  const std::string& format_;
  const bool everywhere_;
  std::vector<Described> images_;
  std::multimap<std::string, const Described*> by_id_;
  std::set<FileId> found_;
};

std::optional<FileId> id_of(const std::string& path, Links links) {
  struct stat st = {};
  const bool there =
      (links == Links::follow ? stat(path.c_str(), &st) : lstat(path.c_str(), &st)) == 0;
  if (!there || !S_ISREG(st.st_mode)) return std::nullopt;
  return FileId{st.st_dev, st.st_ino};
}

}  // namespace

std::optional<Described> describe(const std::string& path, const std::string& format, Links links) {
  const std::optional<FileId> id = id_of(path, links);
  if (!id) return std::nullopt;
  Described image{.path = path, .id = *id};
  const auto opened = Container::open(path, {.format = format, .links = links, .parents = false});
  if (!opened) return image;
  const ImageInfo& info = (*opened)->info();
  image.uuid = info.uuid;
  image.modification_uuid = info.modification_uuid;
  image.parent = info.parent;
  image.parts = info.parts;
  return image;
}

std::set<FileId> built_on(const std::set<std::string>& directories,
                          const std::vector<std::string>& files, const std::string& format) {
  Ancestors ancestors(format, true);
  for (const std::string& directory : directories) ancestors.add_directory(directory);
  for (const std::string& file : files) ancestors.add(file, Links::follow);
  return ancestors.find();
}

bool is_built_on(const std::string& file, const std::string& format, Links links) {
  const std::optional<FileId> id = id_of(file, links);
  if (!id) return false;
  Ancestors ancestors(format, false);
  ancestors.add_directory(fs::path(file).parent_path());
  return ancestors.find().contains(*id);
}

}  // namespace platter::fusefs
