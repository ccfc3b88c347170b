#include "lib/container/chain.h"

#include <filesystem>
#include <optional>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "lib/container/archive_path.h"
#include "lib/container/parent_search.h"
#include "lib/image/registry.h"

namespace platter {
namespace {

class Opener {
 public:
  explicit Opener(const ChainRequest& request) : request_(request) {}

  Result<std::vector<ChainLayer>> run() {
    const bool over = request_.overlay.file != nullptr;
    FoundParent next{request_.overlay.file, request_.overlay.format};
    std::unique_ptr<Resolver> resolver;
    if (over) {
      resolver = resolver_for(next.file->name());
    } else {
      next = TRY(open_source(request_.format, request_.access, resolver));
    }
    for (;;) {
      TRY(check_not_open_yet(*next.file));
      const std::string path = next.file->name();
      layers_.push_back(TRY_IN(path, open_layer(next, *resolver)));
      compare_capacity(*next.file);
      const auto& link = layers_.back().image->info().parent;
      if (over && layers_.size() == 1) {
        next = TRY_IN(path, find_source(link, path, resolver));
        continue;
      }
      if (!link || !request_.parents) {
        TRY_IN(path, expect_no_more());
        return std::move(layers_);
      }
      if (layers_.size() == kMaxChainDepth) {
        return Error(Errc::unsupported,
                     fmt::format("{}: has a parent, but {} images are open already: the chain is "
                                 "deeper than the limit",
                                 path, kMaxChainDepth));
      }
      if (request_.given) {
        next = TRY_IN(path, take_given(*link, resolver));
        take_warnings(next);
        continue;
      }
      if (!next.trusted) {
        return Error(Errc::denied,
                     fmt::format("{}: names a parent, but the image above it does not say that it "
                                 "is {}: its own references are not followed",
                                 path, layers_.back().format->name()));
      }
      next = TRY_IN(path, find_parent(*link, *layers_.back().format, *resolver));
      take_warnings(next);
      resolver = resolver->for_file(*next.file);
    }
  }

 private:
  // Of the parent that was found for the last layer.
  void take_warnings(const FoundParent& found) {
    std::vector<std::string>& warnings = layers_.back().warnings;
    warnings.insert(warnings.end(), found.warnings.begin(), found.warnings.end());
  }

  std::unique_ptr<Resolver> resolver_for(const std::string& path) const {
    return directory_resolver(path, request_.references, request_.cross_mounts, request_.named);
  }

  // The image that was named, and what opens the files it names.
  Result<FoundParent> open_source(const Format* format, Access access,
                                  std::unique_ptr<Resolver>& resolver) {
    named_ = TRY(open_named(request_.path, format, access, request_.links));
    resolver = named_.archive != nullptr ? named_.archive->resolver(named_.disk)
                                         : resolver_for(named_.file->name());
    return FoundParent{.file = named_.file, .format = named_.format};
  }

  Result<FoundParent> take_given(const ParentLink& link, std::unique_ptr<Resolver>& resolver) {
    const size_t depth = layers_.size() - 1;
    if (depth == request_.given->size()) {
      return Error(Errc::invalid, "has a parent, which is not open");
    }
    const GivenImage& given = (*request_.given)[depth];
    const NamedImage named = TRY(open_named(given.path, given.format, Access::read, Links::follow));
    resolver = resolver_for(named.file->name());
    const Format* const format =
        named.format != nullptr ? named.format : TRY(probe(*named.file)).format;
    return TRY(take_parent(link, named.file, *format));
  }

  Result<void> expect_no_more() const {
    if (!request_.given || layers_.size() > request_.given->size()) return {};
    return Error(Errc::invalid, fmt::format("has no parent: it cannot be laid on {}",
                                            (*request_.given)[layers_.size() - 1].path));
  }

  // Of the layer that is the last: what an archive says of it is another program's word.
  void compare_capacity(const File& file) {
    if (&file != named_.file.get() || named_.archive == nullptr) return;
    ChainLayer& layer = layers_.back();
    const uint64_t size = layer.image->size();
    if (named_.disk.capacity == 0 || named_.disk.capacity == size) return;
    layer.warnings.push_back(fmt::format("the archive says that the disk has {} bytes, not {}",
                                         named_.disk.capacity, size));
  }

  Result<void> check_not_open_yet(const File& file) {
    const FileStat st = TRY(file.stat());
    if (seen_.emplace(st.device, st.inode, st.start).second) return {};
    return Error(Errc::corrupt,
                 fmt::format("{}: is its own ancestor: the chain is a loop", file.name()));
  }

  Result<ChainLayer> open_layer(const FoundParent& found, const Resolver& resolver) {
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
  Result<FoundParent> find_source(const std::optional<ParentLink>& link, const std::string& overlay,
                                  std::unique_ptr<Resolver>& resolver) {
    if (!link) {
      return Error(Errc::invalid,
                   fmt::format("has no parent: it is no overlay of {}", request_.path));
    }
    const auto named = std::filesystem::path(overlay).parent_path() / link->reference;
    if (link->reference.empty() || !name_the_same(named, request_.path)) {
      return Error(Errc::invalid, fmt::format("was made for \"{}\": it is no overlay of {}",
                                              link->reference, request_.path));
    }
    const Format* const format = find_format(link->format);
    if (request_.format != nullptr && format != nullptr && request_.format != format) {
      return Error(Errc::invalid, fmt::format("says that {} is {}, not {}", request_.path,
                                              format->name(), request_.format->name()));
    }
    return open_source(request_.format != nullptr ? request_.format : format, Access::read,
                       resolver);
  }

  const ChainRequest& request_;
  NamedImage named_;
  std::set<std::tuple<uint64_t, uint64_t, uint64_t>> seen_;  // files, by what stat() says they are
  std::vector<ChainLayer> layers_;
};

}  // namespace

Result<std::vector<ChainLayer>> open_chain(const ChainRequest& request) {
  return Opener(request).run();
}

}  // namespace platter
