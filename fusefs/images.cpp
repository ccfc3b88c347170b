#include "fusefs/images.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <set>
#include <unordered_set>

#include <fmt/format.h>

#include "lib/image/registry.h"

namespace platter::fusefs {
namespace {

namespace fs = std::filesystem;
using FileId = std::pair<dev_t, ino_t>;
using HomePtr = std::shared_ptr<const Descriptor>;

// An image, and what it says of others.
struct Candidate {
  ImageFile file;
  FileId id;
  std::optional<Uuid> uuid;
  std::optional<ParentLink> parent;
  std::string data_file;  // as it is named
};

Result<HomePtr> open_home(const fs::path& directory) {
  auto home =
      std::make_shared<Descriptor>(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!*home) return system_error(directory, "cannot open", errno);
  return HomePtr(std::move(home));
}

bool named_as_raw(const fs::path& path) {
  std::string extension = path.extension();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::string_view kRaw[] = {".raw", ".img", ".iso", ".dd", ".000"};
  return std::find(std::begin(kRaw), std::end(kRaw), extension) != std::end(kRaw);
}

// What the image says of itself, where it can be asked.
void describe(Candidate& image, const MountOptions& options) {
  const auto opened =
      Container::open(image.file.path, {.format = options.container.format, .parents = false});
  if (!opened) return;
  const ImageInfo& info = (*opened)->info();
  image.uuid = info.uuid;
  image.parent = info.parent;
  for (const Detail& detail : info.details) {
    const auto* text = std::get_if<std::string>(&detail.second);
    if (detail.first == "data_file" && text != nullptr) image.data_file = *text;
  }
}

// Claimed by a format, also by one that this build cannot read: it is shown with the reason.
bool is_image(const fs::path& path) {
  if (named_as_raw(path)) return true;
  const Result<FilePtr> file = PosixFile::open(path, Access::read);
  if (!file) return false;
  const Result<Probed> probed = probe(**file);
  return probed ? !probed->guessed : probed.error().code() == Errc::unsupported;
}

class Listing {
 public:
  explicit Listing(const MountOptions& options) : options_(options) {}

  Result<std::vector<ImageFile>> run() {
    for (const std::string& named : options_.images) {
      const fs::path path = fs::absolute(named).lexically_normal();
      struct stat st = {};
      if (::stat(path.c_str(), &st) != 0) return system_error(named, "cannot open", errno);
      if (S_ISDIR(st.st_mode)) {
        TRY(add_directory(path));
      } else {
        add(path, {st.st_dev, st.st_ino}, TRY(open_home(path.parent_path())),
            options_.container.access == Access::write);
      }
    }
    if (images_.empty()) return Error(Errc::invalid, options_.images.front() + ": has no images");
    protect_parents();
    return named_apart();
  }

 private:
  void add(const fs::path& path, FileId id, HomePtr home, bool writable) {
    Candidate image{.file = {path, path.filename(), writable, std::move(home)}, .id = id};
    describe(image, options_);
    images_.push_back(std::move(image));
  }

  Result<void> add_directory(const fs::path& directory) {
    const HomePtr home = TRY(open_home(directory));
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
      add(path, {st.st_dev, st.st_ino}, home, options_.directories_written);
    }
    remove_parts(first);
    return {};
  }

  // Data files of others.
  void remove_parts(size_t first) {
    std::set<FileId> parts;
    for (const Candidate& image : images_) {
      if (!image.data_file.empty()) insert(parts, image, image.data_file);
    }
    const auto begin = images_.begin() + static_cast<std::ptrdiff_t>(first);
    images_.erase(std::remove_if(begin, images_.end(),
                                 [&](const Candidate& image) { return parts.contains(image.id); }),
                  images_.end());
  }

  static void insert(std::set<FileId>& ids, const Candidate& from, const std::string& reference) {
    struct stat st = {};
    const fs::path path = fs::path(from.file.path).parent_path() / reference;
    if (::stat(path.c_str(), &st) == 0) ids.emplace(st.st_dev, st.st_ino);
  }

  void protect_parents() {
    std::set<FileId> parents;
    std::vector<Uuid> uuids;
    for (const Candidate& image : images_) {
      if (!image.parent) continue;
      if (!image.parent->reference.empty()) insert(parents, image, image.parent->reference);
      if (image.parent->uuid) uuids.push_back(*image.parent->uuid);
    }
    for (Candidate& image : images_) {
      const bool named =
          parents.contains(image.id) ||
          (image.uuid && std::find(uuids.begin(), uuids.end(), *image.uuid) != uuids.end());
      if (named) image.file.writable = false;
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
};

}  // namespace

bool shows_several(const MountOptions& options) {
  std::error_code error;
  return options.images.size() > 1 || fs::is_directory(options.images.front(), error);
}

Result<std::vector<ImageFile>> list_images(const MountOptions& options) {
  if (!options.container.snapshot.empty()) {
    return Error(Errc::invalid, "snapshot: for a mount of one image");
  }
  if (!options.overlay_file.empty()) {
    return Error(Errc::invalid, "overlay=FILE: for a mount of one image");
  }
  return Listing(options).run();
}

Result<ImageFile> only_image(const MountOptions& options) {
  const fs::path path = fs::absolute(options.images.front()).lexically_normal();
  return ImageFile{.path = options.images.front(),
                   .name = path.filename(),
                   .writable = options.container.access == Access::write,
                   .home = TRY(open_home(path.parent_path()))};
}

}  // namespace platter::fusefs
