// An image over a parent is copied by what it has itself: the copy of the parent shows what the
// parent does, so that nothing need be compared, nor anything of the parent be read but around the
// edges of blocks.
#include "lib/ops/copy.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "lib/base/text.h"
#include "lib/container/container.h"
#include "lib/ops/child.h"
#include "lib/ops/convert.h"
#include "lib/ops/image_files.h"
#include "lib/ops/set.h"

namespace platter {
namespace {

namespace fs = std::filesystem;

// What is made, as long as it is not all there.
class MadeImages {
 public:
  explicit MadeImages(References references) : references_(references) {}
  ~MadeImages() {
    for (auto image = images_.rbegin(); image != images_.rend(); ++image) remove(*image);
  }
  MadeImages(const MadeImages&) = delete;
  MadeImages& operator=(const MadeImages&) = delete;

  void add(const std::string& path, const Format& format) { images_.push_back({path, &format}); }
  void keep() { images_.clear(); }

 private:
  struct Made {
    std::string path;
    const Format* format;
  };

  void remove(const Made& made) const {
    const auto image = Container::open(
        made.path, {.format = std::string(made.format->name()), .references = references_});
    if (!image) {
      unlink(made.path.c_str());
      return;
    }
    const auto files = ImageFiles::of((*image)->chain().front());
    if (files) (void)files->remove();
  }

  const References references_;
  std::vector<Made> images_;
};

std::string chs_text(const Geometry& g) {
  return fmt::format("{}/{}/{}", g.cylinders, g.heads, g.sectors);
}

// What a copy may say as well, if its format has a place for it.
Metadata said_by(const ImageInfo& info) {
  Metadata values;
  if (!info.comment.empty()) values.emplace_back("comment", info.comment);
  if (info.pchs) values.emplace_back("geometry-pchs", chs_text(*info.pchs));
  if (info.lchs) values.emplace_back("geometry-lchs", chs_text(*info.lchs));
  if (info.modification_uuid) {
    values.emplace_back("modification-uuid", info.modification_uuid->to_string());
  }
  return values;
}

class Copying {
 public:
  Copying(const CopyArgs& args, Progress& progress)
      : args_(args), progress_(progress), made_(args.references) {}

  Result<CopyReport> run() {
    source_ = TRY(Container::open(args_.path, {.format = args_.format,
                                               .references = args_.references,
                                               .lock = true,
                                               .keys = args_.keys}));
    if (args_.layers) {
      for (size_t depth = source_->chain().size(); depth-- > 0;) TRY(copy_layer(depth));
    } else {
      TRY(copy_one());
    }
    made_.keep();
    return report_;
  }

 private:
  struct Target {
    std::string path;
    const Format* format;
    std::string parent, parent_format;  // empty: none
  };

  const Format& format_for(size_t depth) const {
    return args_.target != nullptr ? *args_.target : *source_->chain()[depth].format;
  }
  // The disk as the image of this depth shows it.
  ViewPtr view_at(size_t depth) const {
    if (depth == 0) return source_->live();
    for (const State& state : source_->states()) {
      if (state.kind == State::Kind::layer && state.depth == depth) return state.view;
    }
    return nullptr;
  }

  Result<void> copy_one() {
    const Target target{args_.to, &format_for(0), args_.parent, args_.parent_format};
    if (target.parent.empty()) return make(0, target, nullptr);
    if (source_->chain().size() < 2) {
      return Error(Errc::invalid,
                   fmt::format("{}: has no parent, whose copy could be one", args_.path));
    }
    const View own({source_->live()->layers().front()}, source_->live()->blocks());
    return make(0, target, &own);
  }

  Result<void> copy_layer(size_t depth) {
    Target target{args_.to, &format_for(depth), below_, below_format_};
    if (depth > 0) target.path = beside(depth, *target.format);
    const ViewPtr view = view_at(depth);
    const View own({view->layers().front()}, view->blocks());
    TRY(make(depth, target, below_.empty() ? nullptr : &own));
    below_ = target.path;
    below_format_ = target.format->name();
    return {};
  }

  // Its own name, beside the copy of the top.
  std::string beside(size_t depth, const Format& format) const {
    fs::path name = source_->chain()[depth].file_name();
    if (&format != source_->chain()[depth].format) {
      name.replace_extension(std::string(format.extensions().front()));
    }
    return (fs::path(args_.to).parent_path() / name).string();
  }

  // What may be read in a copy: what all that is read for it may be read by. Where blocks are of
  // other sizes that is also something of the parents.
  Result<uint32_t> mode_of(size_t first) const {
    constexpr uint32_t kOwner = 0700;
    uint32_t mode = 0777;
    for (size_t depth = first; depth < source_->chain().size(); ++depth) {
      for (const FilePtr& file : source_->chain()[depth].image->files()) {
        const FileStat st = TRY(file->stat());
        const uint32_t of_file = st.inode == 0 ? 0600 : st.mode & 0777U;
        mode &= of_file | (depth == first ? 0 : kOwner);
      }
    }
    return mode;
  }

  Result<void> expect_no_secrets(size_t first, const Format& format) const {
    const auto has_choice = [&](const OptionSpec& option) {
      return option.name == "encrypt.format";
    };
    const bool chosen = std::ranges::any_of(format.create_options(), has_choice);
    if (format.can_encrypt() && (!chosen || args_.options.contains("encrypt.format"))) return {};
    for (size_t depth = first; depth < source_->chain().size(); ++depth) {
      const ChainLayer& layer = source_->chain()[depth];
      if (!layer.image->info().encrypted) continue;
      return Error(Errc::invalid,
                   fmt::format("{}: is encrypted, and the copy would not be", layer.path));
    }
    return {};
  }

  // own: what counts where there is a parent.
  Result<void> make(size_t depth, const Target& target, const View* own) {
    const ViewPtr view = view_at(depth);
    TRY(expect_no_secrets(depth, *target.format));
    ConvertArgs copy{.sources = {view},
                     .target = {.path = target.path,
                                .format = *target.format,
                                .size = view->size(),
                                .options = args_.options,
                                .mode = TRY(mode_of(depth)),
                                .references = args_.references,
                                .keys = args_.new_keys},
                     .own = own,
                     .threads = args_.threads};
    if (depth == 0 && args_.size) copy.target.size = *args_.size;
    if (own != nullptr) copy.target.parent = TRY(link_for(depth, target, copy.target.size));
    const ConvertReport done = TRY_IN(target.path, convert(copy, progress_));
    made_.add(target.path, *target.format);
    report_.images.push_back({target.path, std::string(target.format->name()), done.copied});
    return describe(source_->chain()[depth].image->info(), target, depth == 0);
  }

  Result<ParentLink> link_for(size_t depth, const Target& target, uint64_t size) const {
    const NewParent parent = TRY(describe_parent({.path = target.parent,
                                                  .format = target.parent_format,
                                                  .references = args_.references,
                                                  .child = target.path,
                                                  .child_format = target.format}));
    if (parent.size != view_at(depth + 1)->size()) {
      return Error(Errc::invalid,
                   fmt::format("{}: is no copy of {}: the disk has another size", target.parent,
                               printable(source_->chain()[depth + 1].path)));
    }
    if (size != view_at(depth)->size()) {
      return Error(Errc::invalid, fmt::format("{}: over a parent the copy is as large as {}",
                                              target.path, printable(args_.path)));
    }
    return parent.link;
  }

  Result<void> describe(const ImageInfo& source, const Target& target, bool top) {
    const auto set = [&](const Metadata::value_type& value) {
      return set_metadata(
          {.path = target.path, .format = std::string(target.format->name()), .values = {value}});
    };
    for (const auto& value : said_by(source)) {
      Result<void> done = set(value);
      const bool no_place = !done && (done.error().code() == Errc::unsupported ||
                                      done.error().code() == Errc::invalid);
      if (no_place) report_.images.back().left_out.push_back(value.first);
      if (!done && !no_place) return done;
    }
    if (!top) return {};
    for (const auto& value : args_.values) TRY(set(value));
    return {};
  }

  const CopyArgs& args_;
  Progress& progress_;
  std::unique_ptr<Container> source_;
  MadeImages made_;
  CopyReport report_;
  std::string below_, below_format_;  // the copy that was made last
};

}  // namespace

Result<CopyReport> copy_image(const CopyArgs& args, Progress& progress) {
  return Copying(args, progress).run();
}

}  // namespace platter
