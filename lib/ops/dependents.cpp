#include "lib/ops/dependents.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "lib/image/registry.h"

namespace platter {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFiles = 4096;
constexpr const char* kSnapshots = "Snapshots";

// Where children of the bases may be, each once.
std::vector<fs::path> places_beside(const std::vector<Base>& bases) {
  std::vector<fs::path> places;
  const auto add = [&](const fs::path& directory) {
    std::error_code error;
    const fs::path place = fs::canonical(directory, error);
    if (error || !fs::is_directory(place, error)) return;
    if (std::ranges::find(places, place) == places.end()) places.push_back(place);
  };
  for (const Base& base : bases) {
    std::error_code error;
    const fs::path own = fs::canonical(base.path, error).parent_path();
    if (error) continue;
    add(own);
    add(own / kSnapshots);
    if (own.filename() == kSnapshots) add(own.parent_path());
  }
  return places;
}

Result<std::vector<fs::path>> files_in(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::error_code unknown;
    if (entry->is_regular_file(unknown) && !entry->is_symlink(unknown)) {
      files.push_back(entry->path());
    }
  }
  if (error) return system_error(directory.string(), "cannot list", error.value());
  std::ranges::sort(files);
  if (files.size() > kMaxFiles) files.resize(kMaxFiles);
  return files;
}

// Empty: it is no image with a parent.
std::optional<ParentLink> parent_named_in(const FilePtr& file) {
  const auto probed = probe(*file);
  if (!probed || probed->guessed || probed->format->holds_images()) return std::nullopt;
  const auto denied = deny_resolver("only its parent's name is wanted");
  // Pages are kept by the file's address, which the next file may get.
  const auto image = probed->format->open(OpenRequest{.file = file,
                                                      .resolver = *denied,
                                                      .tables = std::make_shared<PageCache>(0),
                                                      .info_only = true});
  if (!image) return std::nullopt;
  return (*image)->info().parent;
}

// A file that is there under the name decides; else the ids do.
std::optional<size_t> base_named(const ParentLink& link, const std::string& child,
                                 const std::vector<Base>& bases) {
  const auto resolver = directory_resolver(child, References::any);
  std::vector<std::string> names = link.other_references;
  if (!link.reference.empty()) names.insert(names.begin(), link.reference);
  bool another = false;
  for (const std::string& name : names) {
    const auto file = resolver->open(name);
    const auto st = file ? (*file)->stat() : Result<FileStat>(file.error());
    if (!st) continue;
    for (size_t i = 0; i < bases.size(); ++i) {
      if (bases[i].file.same_file(*st)) return i;
    }
    another = true;
  }
  if (another) return std::nullopt;
  for (size_t i = 0; i < bases.size(); ++i) {
    const bool by_content = !link.uuid && link.modification_uuid &&
                            link.modification_uuid == bases[i].modification_uuid;
    if (by_content || (link.uuid && link.uuid == bases[i].uuid)) return i;
  }
  return std::nullopt;
}

}  // namespace

Result<Base> base_of(const ChainLayer& layer) {
  const ImageInfo& info = layer.image->info();
  return Base{.path = layer.path,
              .file = TRY(layer.image->files().front()->stat()),
              .uuid = info.uuid,
              .modification_uuid = info.modification_uuid};
}

Result<std::vector<Dependent>> find_dependents(const std::vector<Base>& bases,
                                               const SkipFile& skip) {
  std::vector<Dependent> found;
  for (const fs::path& directory : places_beside(bases)) {
    for (const fs::path& path : TRY(files_in(directory))) {
      const auto file = PosixFile::open(path.string(), Access::read, Links::refuse);
      if (!file || skip(TRY((*file)->stat()))) continue;
      const std::optional<ParentLink> link = parent_named_in(*file);
      if (!link) continue;
      if (const auto base = base_named(*link, path.string(), bases)) {
        found.push_back({path.string(), *base, *link});
      }
    }
  }
  return found;
}

}  // namespace platter
