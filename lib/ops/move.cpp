// The new names come first, the old ones go last, and in between the image learns how its parent is
// named from there: one of the two names is right at every moment. Files that only get another name
// keep their identity, and the locks on it.
#include "lib/ops/move.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "lib/base/text.h"
#include "lib/ops/child.h"
#include "lib/ops/dependents.h"
#include "lib/ops/image_files.h"
#include "lib/ops/new_file.h"
#include "lib/ops/parent_link.h"

namespace platter {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kPieceMoved = 4 * MiB;

fs::path directory_at(const std::string& path) {
  const fs::path directory = fs::path(path).parent_path();
  return directory.empty() ? fs::path(".") : directory;
}

// Where another filesystem begins, or one that has no second names.
bool has_to_be_copied(int error) {
  return error == EXDEV || error == EPERM || error == EOPNOTSUPP || error == EMLINK;
}

class Mover {
 public:
  Mover(const MoveArgs& args, Progress& progress) : args_(args), progress_(progress) {}

  Result<MoveReport> run() {
    TRY(open());
    TRY(expect_movable());
    Result<void> done = place_files();
    if (done) done = name_parent_anew();
    if (done) done = take_children_along();
    if (!done) {
      undo();
      return std::move(done.error());
    }
    TRY(files_->remove());
    for (const Place& place : places_) report_.files.push_back(place.to);
    return report_;
  }

 private:
  struct Place {
    std::string from, to;
    bool there = false;
  };
  struct Child {
    ImageFiles files;
    ParentLink link;  // as it was
  };

  Result<void> open() {
    image_ =
        TRY(Container::open(args_.path, {.format = args_.format, .references = args_.references}));
    const ChainLayer& layer = image_->chain().front();
    files_ = TRY(ImageFiles::of(layer));
    if (files_->image().inode == 0) {
      return Error(Errc::invalid, fmt::format("{}: is a device, not a file", args_.path));
    }
    TRY(files_->lock());
    bases_ = {TRY(base_of(layer))};
    std::error_code error;
    same_directory_ = fs::equivalent(directory_at(args_.path), directory_at(args_.to), error);
    if (error) return Error(Errc::not_found, fmt::format("{}: {}", args_.to, error.message()));
    places_.push_back({args_.path, args_.to});
    for (const FilePtr& file : layer.image->files()) {
      if (file == layer.image->files().front() || same_directory_) continue;
      TRY(add_part(file->name()));
    }
    for (const std::string& child : args_.children) TRY(take_child(child));
    return {};
  }

  Result<void> add_part(const std::string& name) {
    if (directory_at(name) != directory_at(args_.path)) {
      return Error(Errc::invalid, fmt::format("{}: is made of {}, too, which is not beside it",
                                              args_.path, printable(name)));
    }
    places_.push_back({name, (directory_at(args_.to) / fs::path(name).filename()).string()});
    return {};
  }

  Result<void> take_child(const std::string& path) {
    const auto child = TRY(Container::open(path, {.references = args_.references}));
    const auto& chain = child->chain();
    if (chain.size() < 2 ||
        !files_->image().same_file(TRY(chain[1].image->files().front()->stat()))) {
      return Error(Errc::invalid,
                   fmt::format("{}: {} is not its parent", path, printable(args_.path)));
    }
    children_.push_back({TRY(ImageFiles::of(chain[0])), *chain[0].image->info().parent});
    return children_.back().files.lock();
  }

  Result<void> expect_movable() const {
    for (const Place& place : places_) {
      std::error_code error;
      if (fs::exists(fs::symlink_status(place.to, error))) {
        return Error(Errc::invalid,
                     fmt::format("{}: exists already; it is not overwritten", place.to));
      }
    }
    const auto known = [this](const FileStat& file) {
      return files_->has(file) || std::ranges::any_of(children_, [&](const Child& child) {
               return child.files.has(file);
             });
    };
    for (const Dependent& other : TRY(find_dependents(bases_, known))) {
      // Who knows its parent by ids alone finds it again.
      if (same_directory_ && other.link.reference.empty()) continue;
      return Error(Errc::busy, fmt::format("{}: {} stands on it, too, and would not find it",
                                           args_.path, printable(other.path)));
    }
    return {};
  }

  Result<void> place_files() {
    // The image comes last: it is what names the others.
    for (auto place = places_.rbegin(); place != places_.rend(); ++place) {
      if (progress_.cancelled()) return Error(Errc::cancelled, "interrupted");
      // The file itself, also where its name is a symbolic link.
      if (linkat(AT_FDCWD, place->from.c_str(), AT_FDCWD, place->to.c_str(), AT_SYMLINK_FOLLOW) ==
          0) {
        place->there = true;
        TRY(sync_directory(place->to));
        continue;
      }
      if (!has_to_be_copied(errno)) return system_error(place->to, "cannot create", errno);
      TRY(copy_file(*place));
    }
    return {};
  }

  Result<void> copy_file(Place& place) {
    report_.copied = true;
    const FilePtr from = TRY(PosixFile::open(place.from));
    const FileStat st = TRY(from->stat());
    NewFile to = TRY(NewFile::begin(place.to, st.mode));
    TRY(to.file()->resize(st.size));
    std::vector<std::byte> piece;
    for (uint64_t at = 0; at < st.size;) {
      if (progress_.cancelled()) return Error(Errc::cancelled, "interrupted");
      const File::Run run = TRY(from->run_at(at));
      const uint64_t end = std::min(run.range.end(), at + (run.data ? kPieceMoved : st.size));
      if (run.data) {
        piece.resize(end - at);
        TRY(from->read_exact(at, piece));
        TRY(to.file()->write(at, piece));
      }
      at = end;
      progress_.advance(at, st.size);
    }
    TRY(to.file()->sync());
    TRY(to.publish());
    place.there = true;
    return keep_time(place.to, st.mtime_ns);
  }

  // Whoever looks whether a parent was changed since may look at this.
  static Result<void> keep_time(const std::string& path, int64_t mtime_ns) {
    constexpr int64_t kSecond = 1'000'000'000;
    const timespec times[2] = {{0, UTIME_OMIT}, {mtime_ns / kSecond, mtime_ns % kSecond}};
    if (utimensat(AT_FDCWD, path.c_str(), times, 0) == 0) return {};
    return system_error(path, "cannot set its time", errno);
  }

  // How whoever opens it at its new place will find its parent.
  Result<void> name_parent_anew() {
    const std::optional<ParentLink>& link = image_->info().parent;
    if (!link || same_directory_) return {};
    const ChainLayer& parent = image_->chain()[1];
    const auto container = TRY(Container::open(parent.path, options_of(parent)));
    ParentLink now = TRY(link_to({.path = parent.path,
                                  .references = args_.references,
                                  .child = args_.to,
                                  .child_format = &files_->format()},
                                 *container));
    if (link->reference.empty()) return {};
    if (!tells_contents(*link)) now = whatever_it_holds(now);
    renamed_parent_ = true;
    return name_parent(args_.to, files_->format(), now);
  }

  static ContainerOptions options_of(const ChainLayer& layer) {
    return {.format = layer.guessed ? std::string() : std::string(layer.format->name()),
            .references = References::any};
  }

  Result<void> take_children_along() {
    if (children_.empty()) return {};
    const auto parent = TRY(Container::open(args_.to, options_of(image_->chain().front())));
    for (const Child& child : children_) {
      ParentLink link = TRY(link_to({.path = args_.to,
                                     .references = args_.references,
                                     .child = child.files.path(),
                                     .child_format = &child.files.format()},
                                    *parent));
      if (child.link.reference.empty()) continue;
      if (!tells_contents(child.link)) link = whatever_it_holds(link);
      renamed_children_.push_back(&child);
      TRY(name_parent(child.files.path(), child.files.format(), link));
    }
    return {};
  }

  // As far as that goes: what is left of the new names is no harm.
  void undo() {
    for (const Child* child : renamed_children_) {
      (void)name_parent(child->files.path(), child->files.format(), child->link);
    }
    if (renamed_parent_ && !report_.copied) {
      (void)name_parent(args_.path, files_->format(), *image_->info().parent);
    }
    for (const Place& place : places_) {
      if (place.there) unlink(place.to.c_str());
    }
  }

  const MoveArgs& args_;
  Progress& progress_;
  std::unique_ptr<Container> image_;
  std::optional<ImageFiles> files_;
  std::vector<Base> bases_;
  bool same_directory_ = false;
  std::vector<Place> places_;  // the image first
  std::vector<Child> children_;
  bool renamed_parent_ = false;
  std::vector<const Child*> renamed_children_;
  MoveReport report_;
};

}  // namespace

Result<MoveReport> move_image(const MoveArgs& args, Progress& progress) {
  return Mover(args, progress).run();
}

}  // namespace platter
