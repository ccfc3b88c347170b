#include "lib/container/chain.h"

#include <filesystem>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "lib/image/registry.h"

namespace platter {
namespace {

// A file on its way to become a layer.
struct Found {
  FilePtr file;
  const Format* format = nullptr;  // null: probe
  // The image below named it, by a format or by ids: it may name files itself.
  bool trusted = true;
};

class Opener {
 public:
  explicit Opener(const ChainRequest& request) : request_(request) {}

  Result<std::vector<ChainLayer>> run() {
    const bool over = request_.overlay.file != nullptr;
    Found next{request_.overlay.file, request_.overlay.format, true};
    if (!over) {
      next = {TRY(PosixFile::open(request_.path, request_.access, request_.links)), request_.format,
              true};
    }
    std::unique_ptr<Resolver> resolver = resolver_for(next.file->name());
    for (;;) {
      TRY(check_not_open_yet(*next.file));
      const std::string path = next.file->name();
      layers_.push_back(TRY_IN(path, open_layer(next, *resolver)));
      const auto& link = layers_.back().image->info().parent;
      if (over && layers_.size() == 1) {
        next = TRY_IN(path, find_source(link, path));
        resolver = resolver_for(request_.path);
        continue;
      }
      if (!link || !request_.parents) return std::move(layers_);
      if (layers_.size() == kMaxChainDepth) {
        return Error(Errc::unsupported,
                     fmt::format("{}: has a parent, but {} images are open already: the chain is "
                                 "deeper than the limit",
                                 path, kMaxChainDepth));
      }
      if (!next.trusted) {
        return Error(Errc::denied,
                     fmt::format("{}: names a parent, but the image above it does not say that it "
                                 "is {}: its own references are not followed",
                                 path, layers_.back().format->name()));
      }
      next = TRY_IN(path, find_parent(*link, *resolver));
      resolver = resolver->for_file(*next.file);
    }
  }

 private:
  std::unique_ptr<Resolver> resolver_for(const std::string& path) const {
    return directory_resolver(path, request_.references, request_.cross_mounts, request_.named);
  }

  Result<void> check_not_open_yet(const File& file) {
    const FileStat st = TRY(file.stat());
    if (seen_.emplace(st.device, st.inode).second) return {};
    return Error(Errc::corrupt,
                 fmt::format("{}: is its own ancestor: the chain is a loop", file.name()));
  }

  Result<ChainLayer> open_layer(const Found& found, const Resolver& resolver) {
    ChainLayer layer;
    layer.path = found.file->name();
    layer.format = found.format;
    if (layer.format == nullptr) {
      const Probed probed = TRY(probe(*found.file));
      layer.format = probed.format;
      layer.guessed = probed.guessed;
    }
    const bool writable = layers_.empty() && request_.access == Access::write;
    if (writable) TRY(check_writable(layer));
    const LockMode mode = writable ? LockMode::write : LockMode::read;
    // Before its tables are read: they are another program's to change until then.
    if (request_.lock) TRY(found.file->lock(mode));
    const auto denied = deny_resolver("its format was guessed, so it may not name other files");
    layer.image = TRY(layer.format->open(OpenRequest{.file = found.file,
                                                     .resolver = found.trusted ? resolver : *denied,
                                                     .tables = request_.tables,
                                                     .info_only = !request_.parents,
                                                     .writable = writable,
                                                     .epochs = request_.epochs,
                                                     .keys = request_.keys}));
    if (request_.lock) {
      for (const FilePtr& file : layer.image->files()) {
        if (file != found.file) TRY(file->lock(mode));
      }
    }
    return layer;
  }

  // A guest that writes into a file taken for raw could make an image of it that names files.
  Result<void> check_writable(const ChainLayer& layer) const {
    if (layer.guessed) {
      return Error(Errc::read_only,
                   "no format claims it: it is taken for raw, and written only when "
                   "format=raw says so");
    }
    if (layer.format->can_write()) return {};
    if (!request_.parents && layer.format->can_repair()) return {};
    return Error(Errc::read_only, fmt::format("{} images are only read", layer.format->name()));
  }

  // What the overlay lies on: the image that was named, if that is what it was made for.
  Result<Found> find_source(const std::optional<ParentLink>& link, const std::string& overlay) {
    if (!link) {
      return Error(Errc::invalid,
                   fmt::format("has no parent: it is no overlay of {}", request_.path));
    }
    std::error_code missing;
    const auto named = std::filesystem::path(overlay).parent_path() / link->reference;
    if (link->reference.empty() || !std::filesystem::equivalent(named, request_.path, missing)) {
      return Error(Errc::invalid, fmt::format("was made for \"{}\": it is no overlay of {}",
                                              link->reference, request_.path));
    }
    const Format* const format = find_format(link->format);
    if (request_.format != nullptr && format != nullptr && request_.format != format) {
      return Error(Errc::invalid, fmt::format("says that {} is {}, not {}", request_.path,
                                              format->name(), request_.format->name()));
    }
    return Found{TRY(PosixFile::open(request_.path, Access::read, request_.links)),
                 request_.format != nullptr ? request_.format : format, true};
  }

  Result<Found> find_parent(const ParentLink& link, const Resolver& resolver) {
    Found parent;
    if (!link.format.empty()) {
      parent.format = find_format(link.format);
      if (parent.format == nullptr) {
        return Error(Errc::unsupported, fmt::format("its parent \"{}\" is of format \"{}\", which "
                                                    "this version cannot read",
                                                    link.reference, link.format));
      }
    }
    if (link.reference.empty()) return find_by_id(link, resolver);
    Result<FilePtr> file = resolver.open(link.reference);
    if (!file && file.error().code() == Errc::not_found) {
      return Error(Errc::not_found, fmt::format("its parent \"{}\" is missing", link.reference));
    }
    parent.file = TRY(std::move(file));
    parent.trusted = parent.format != nullptr;
    return parent;
  }

  // Empty when it is no image of this format. Its tables go into a cache of its own: pages are
  // kept by the file's address, which the next candidate may get.
  static std::optional<ImageInfo> info_of(const Candidate& candidate, const Format& format) {
    const auto denied = deny_resolver("only its ids are wanted");
    const auto image = format.open(OpenRequest{.file = candidate.file,
                                               .resolver = *denied,
                                               .tables = std::make_shared<PageCache>(0),
                                               .info_only = true});
    if (!image) return std::nullopt;
    return (*image)->info();
  }

  // A parent known by its id only: the one candidate that has it.
  Result<Found> find_by_id(const ParentLink& link, const Resolver& resolver) {
    if (!link.uuid) return Error(Errc::corrupt, "has a parent, but does not say which");
    const Format& format = *layers_.back().format;
    FilePtr match;
    bool changed = false;
    TRY(resolver.candidates(format.extensions(), [&](const Candidate& candidate) -> Result<bool> {
      const std::optional<ImageInfo> info = info_of(candidate, format);
      if (!info || info->uuid != link.uuid) return true;
      const auto& stamp = info->modification_uuid;
      const bool same = !link.modification_uuid || !stamp || *stamp == *link.modification_uuid;
      if (same) match = candidate.file;
      changed = changed || !same;
      return !same;
    }));
    if (match) return Found{match, &format, true};
    const std::string id = link.uuid->to_string();
    if (changed) {
      return Error(Errc::corrupt,
                   fmt::format("its parent {} was changed after this image was made: "
                               "what they show together is not the disk",
                               id));
    }
    return Error(Errc::not_found,
                 fmt::format("its parent, the {} with the id {}, is not beside it (references=any "
                             "also looks in the directory above)",
                             format.name(), id));
  }

  const ChainRequest& request_;
  std::set<std::pair<uint64_t, uint64_t>> seen_;
  std::vector<ChainLayer> layers_;
};

}  // namespace

Result<std::vector<ChainLayer>> open_chain(const ChainRequest& request) {
  return Opener(request).run();
}

}  // namespace platter
