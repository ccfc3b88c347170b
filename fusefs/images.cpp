#include "fusefs/images.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <unordered_set>

#include <fmt/format.h>

#include "fusefs/built_on.h"
#include "lib/container/archive_path.h"
#include "lib/image/registry.h"

namespace platter::fusefs {
namespace {

namespace fs = std::filesystem;
using HomePtr = std::shared_ptr<const Descriptor>;

struct Candidate {
  ImageFile file;
  Described image;
};

Result<HomePtr> open_directory(const fs::path& directory) {
  auto home =
      std::make_shared<Descriptor>(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!*home) return system_error(directory, "cannot open", errno);
  return HomePtr(std::move(home));
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool named_as_raw(const fs::path& path) {
  const std::string extension = lower(path.extension());
  constexpr std::string_view kRaw[] = {".raw", ".img", ".iso", ".dd", ".000"};
  return std::find(std::begin(kRaw), std::end(kRaw), extension) != std::end(kRaw);
}

bool has_known_extension(const fs::path& path) {
  const std::string extension = lower(path.extension());
  for (const Format* format : all_formats()) {
    for (const std::string_view known : format->extensions()) {
      if (extension == "." + std::string(known)) return true;
    }
  }
  return false;
}

// Claimed by a format, also by one that this build cannot read. What cannot be looked at but has
// the name of an image is shown, with the reason.
bool is_image(const fs::path& path) {
  if (named_as_raw(path)) return true;
  const Result<FilePtr> file = PosixFile::open(path, Access::read, Links::refuse);
  if (!file) return has_known_extension(path);
  const Result<Probed> probed = probe(**file);
  if (probed) return !probed->guessed;
  return probed.error().code() == Errc::unsupported || has_known_extension(path);
}

class Listing {
 public:
  explicit Listing(const MountOptions& options) : options_(options) {}

  Result<std::vector<ImageFile>> run() {
    for (const std::string& named : options_.images) {
      struct stat st = {};
      const bool found = ::stat(named.c_str(), &st) == 0;
      // A disk in an archive is no file of its own.
      if (!found && errno != ENOTDIR) return system_error(named, "cannot open", errno);
      if (found && S_ISDIR(st.st_mode)) {
        TRY(add_directory(fs::canonical(named)));
      } else if (!found) {
        const fs::path path = fs::absolute(named);
        TRY(add_archived(path.parent_path(), path.filename(), true));
      } else if (const ArchivePtr archive = TRY(archive_named(named))) {
        TRY(add_archive(fs::absolute(named), *archive, true));
      } else {
        TRY(add_named(fs::absolute(named)));
      }
    }
    if (images_.empty()) return Error(Errc::invalid, options_.images.front() + ": has no images");
    TRY(check_mountpoint());
    protect_parents();
    return named_apart();
  }

 private:
  // Twice the same file would be two containers that write to it.
  void add(ImageFile file) {
    std::optional<Described> image =
        describe(file.path, options_.container.format, file.named ? Links::follow : Links::refuse);
    struct stat st = {};
    if (!image && ::stat(file.path.c_str(), &st) == 0) {
      image = Described{.path = file.path, .id = {st.st_dev, st.st_ino}};
    }
    if (!image || !known_.insert(image->id).second) return;
    images_.push_back({.file = std::move(file), .image = *std::move(image)});
  }

  Result<void> add_named(const fs::path& path) {
    const fs::path directory = fs::canonical(path.parent_path());
    add({.path = directory / path.filename(),
         .name = path.filename(),
         .writable = options_.container.access == Access::write,
         .named = true,
         .home = TRY(open_directory(directory))});
    return {};
  }

  Result<ArchivePtr> archive_named(const std::string& path) const {
    return archive_at(path, find_format(options_.container.format));
  }

  // What cannot be opened is shown, with the reason.
  Result<void> add_archive(const fs::path& path, const Archive& archive, bool named) {
    std::set<std::string> members;
    for (const ArchivedDisk& disk : archive.disks()) {
      const bool flat = !disk.member.empty() && disk.member.find('/') == std::string::npos;
      if (flat && members.insert(disk.member).second) {
        TRY(add_archived(path, disk.member, named));
      }
    }
    return {};
  }

  // Read-only, so that it does no harm to be there twice. Among others it says where it is from.
  Result<void> add_archived(const fs::path& archive, const std::string& member, bool named) {
    const fs::path directory = fs::canonical(archive.parent_path());
    const bool alone = named && options_.images.size() == 1;
    const std::string file = archive.filename();
    const std::string path = path_in(directory / file, member);
    images_.push_back({.file = {.path = path,
                                .name = alone ? member : file + ":" + member,
                                .named = named,
                                .home = TRY(open_directory(directory)),
                                .archive = file},
                       .image = {.path = path}});
    return {};
  }

  Result<void> add_directory(const fs::path& directory) {
    const HomePtr home = TRY(open_directory(directory));
    std::error_code error;
    std::set<fs::path> paths;  // in order
    for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
      paths.insert(entry.path());
    }
    if (error) return system_error(directory, "cannot list", error.value());
    const size_t first = images_.size();
    for (const fs::path& path : paths) {
      struct stat st = {};
      // A symbolic link may lead anywhere.
      if (lstat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
      if (path.filename().native().starts_with('.') || !is_image(path)) continue;
      const Result<ArchivePtr> archive = archive_at(path, nullptr, Links::refuse);
      if (archive && *archive != nullptr) {
        TRY(add_archive(path, **archive, false));
        continue;
      }
      add({.path = path,
           .name = path.filename(),
           .writable = options_.directories_written,
           .home = home});
    }
    remove_parts(first);
    return {};
  }

  // Images are opened while the mount serves: one below it would make it wait for itself.
  Result<void> check_mountpoint() const {
    const std::string point = fs::canonical(options_.mountpoint).native() + "/";
    for (const Candidate& candidate : images_) {
      if (!candidate.file.path.starts_with(point)) continue;
      return Error(Errc::invalid, fmt::format("{}: a mount there would hide {}",
                                              options_.mountpoint, candidate.file.path));
    }
    return {};
  }

  // Data files and extents of others.
  void remove_parts(size_t first) {
    std::set<FileId> parts;
    for (const auto& [file, image] : images_) {
      for (const std::string& name : image.parts) {
        struct stat st = {};
        const fs::path path = fs::path(file.path).parent_path() / name;
        if (::stat(path.c_str(), &st) == 0) parts.emplace(st.st_dev, st.st_ino);
      }
    }
    const auto begin = images_.begin() + static_cast<std::ptrdiff_t>(first);
    images_.erase(std::remove_if(begin, images_.end(),
                                 [&](const Candidate& candidate) {
                                   return parts.contains(candidate.image.id);
                                 }),
                  images_.end());
  }

  void protect_parents() {
    const bool any = std::any_of(images_.begin(), images_.end(),
                                 [](const auto& image) { return image.file.writable; });
    if (!any) return;
    std::set<std::string> directories;
    std::vector<std::string> files;
    for (const Candidate& candidate : images_) {
      files.push_back(candidate.file.path);
      directories.insert(fs::path(candidate.file.path).parent_path());
    }
    const std::set<FileId> parents = built_on(directories, files, options_.container.format);
    for (Candidate& candidate : images_) {
      if (parents.contains(candidate.image.id)) candidate.file.writable = false;
    }
  }

  // Equal names get "@2", "@3" …
  std::vector<ImageFile> named_apart() {
    std::unordered_set<std::string> wanted, used;
    for (const Candidate& image : images_) wanted.insert(image.file.name);
    std::vector<ImageFile> files;
    for (Candidate& image : images_) {
      std::string name = image.file.name;
      for (unsigned i = 2; used.contains(name) || (i > 2 && wanted.contains(name)); ++i) {
        name = fmt::format("{}@{}", image.file.name, i);
      }
      used.insert(name);
      image.file.name = name;
      files.push_back(std::move(image.file));
    }
    return files;
  }

  const MountOptions& options_;
  std::vector<Candidate> images_;
  std::set<FileId> known_;
};

}  // namespace

bool shows_several(const MountOptions& options) {
  std::error_code error;
  if (options.images.size() > 1 || fs::is_directory(options.images.front(), error)) return true;
  const auto archive = archive_at(options.images.front(), find_format(options.container.format));
  return archive && *archive != nullptr;
}

Result<std::vector<ImageFile>> list_images(const MountOptions& options) {
  if (!options.container.snapshot.empty()) {
    return Error(Errc::invalid, "snapshot: for a mount of one image");
  }
  if (!options.overlay_file.empty()) {
    return Error(Errc::invalid, "overlay=FILE: for a mount of one image");
  }
  if (!options.cache_image.empty()) {
    return Error(Errc::invalid, "cache-image: for a mount of one image");
  }
  return Listing(options).run();
}

Result<std::shared_ptr<const Descriptor>> open_home(const std::string& file) {
  fs::path directory = fs::absolute(file).parent_path();
  // A disk in an archive: the archive's.
  std::error_code error;
  if (fs::is_regular_file(directory, error)) directory = directory.parent_path();
  return open_directory(directory);
}

ImageFile only_image(const MountOptions& options) {
  const fs::path path = fs::absolute(options.images.front());
  return {.path = options.images.front(),
          .name = path.filename(),
          .writable = options.container.access == Access::write,
          .named = true};
}

}  // namespace platter::fusefs
