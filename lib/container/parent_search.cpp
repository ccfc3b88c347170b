#include "lib/container/parent_search.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lib/base/text.h"
#include "lib/container/vbox_registry.h"
#include "lib/image/registry.h"

namespace platter {
namespace {

// Copies of a disk carry the time along, with the precision of where they went.
constexpr int64_t kClockSlack = 2;
// A machine has one file of its own; each costs the parsing of all of it.
constexpr size_t kMaxRegistries = 16;

// Empty when it is no image of this format. Its tables go into a cache of its own: pages are kept
// by the file's address, which the next candidate may get.
std::optional<ImageInfo> info_of(const FilePtr& file, const Format& format) {
  const auto denied = deny_resolver("only its ids are wanted");
  const auto image = format.open(OpenRequest{.file = file,
                                             .resolver = *denied,
                                             .tables = std::make_shared<PageCache>(0),
                                             .info_only = true});
  if (!image) return std::nullopt;
  return (*image)->info();
}

template <class Id>
bool differ(const std::optional<Id>& wanted, const std::optional<Id>& found) {
  return wanted && found && *wanted != *found;
}

bool was_changed(const ParentLink& link, const ImageInfo& info) {
  const bool content =
      !link.content_id.empty() && !info.content_id.empty() && link.content_id != info.content_id;
  const bool other =
      link.other_modification_uuid && link.other_modification_uuid == info.modification_uuid;
  return content || (differ(link.modification_uuid, info.modification_uuid) && !other);
}

// A name from the file, as the image would have to say it: relative ones start at the file.
std::string seen_from_here(const std::string& file, const std::string& location) {
  const std::filesystem::path directory = std::filesystem::path(file).parent_path();
  if (location.starts_with('/') || directory.empty()) return location;
  std::error_code failed;
  const std::filesystem::path known = std::filesystem::canonical(directory, failed);
  return ((failed ? directory : known) / location).string();
}

bool is_vbox(std::string_view name) {
  constexpr std::string_view kEnding = ".vbox";
  name.remove_prefix(name.size() - std::min(name.size(), kEnding.size()));
  return std::ranges::equal(name, kEnding, {}, [](unsigned char c) { return std::tolower(c); });
}

class Search {
 public:
  Search(const ParentLink& link, const Format& format, const Resolver& resolver)
      : link_(link), format_(format), resolver_(resolver) {}

  Result<FoundParent> run() {
    TRY(choose_format());
    if (!link_.reference.empty()) TRY(try_reference(link_.reference));
    for (const std::string& reference : link_.other_references) {
      if (!found_) TRY(try_reference(reference));
    }
    if (!found_ && has_ids()) TRY(try_beside());
    if (!found_ && link_.uuid) TRY(try_registries());
    if (!found_) return why_not();
    return with_time();
  }

  Result<FoundParent> take(const FilePtr& file) {
    TRY(choose_format());
    if (!link_.format.empty() && parent_.format != &format_) {
      return Error(Errc::corrupt,
                   fmt::format("says that its parent is {}, and {} is {}", parent_.format->name(),
                               printable(file->name()), format_.name()));
    }
    parent_.format = &format_;
    parent_.trusted = true;  // the caller has named it
    if (can_be_told() && !accept(file, true)) return why_not();
    found_ = file;
    return with_time();
  }

 private:
  Result<FoundParent> with_time() {
    parent_.file = found_;
    TRY(look_at_time());
    return std::move(parent_);
  }

  bool has_ids() const { return link_.uuid || link_.modification_uuid; }
  bool can_be_told() const { return has_ids() || !link_.content_id.empty(); }

  Result<void> choose_format() {
    if (link_.format.empty()) {
      // A parent known by its ids is an image as the child is.
      if (link_.reference.empty()) parent_.format = &format_;
      parent_.trusted = parent_.format != nullptr;
      return {};
    }
    parent_.format = find_format(link_.format);
    if (parent_.format != nullptr) return {};
    return Error(
        Errc::unsupported,
        fmt::format("its parent \"{}\" is of format \"{}\", which this version cannot read",
                    link_.reference, link_.format));
  }

  Result<void> try_reference(const std::string& reference) {
    Result<FilePtr> file = resolver_.open(reference);
    if (!file) {
      if (file.error().code() != Errc::not_found && file.error().code() != Errc::denied) {
        return std::move(file.error());
      }
      if (file.error().code() == Errc::denied && !denied_) denied_ = std::move(file.error());
      return {};
    }
    // What is no such image at all says so when it is opened.
    if (!can_be_told() || parent_.format == nullptr || accept(*file, true)) found_ = *file;
    return {};
  }

  // named: by the child, so that it may be no such image.
  bool accept(const FilePtr& file, bool named) {
    const std::optional<ImageInfo> info = info_of(file, *parent_.format);
    if (!info) return named;
    if (differ(link_.uuid, info->uuid) || (!named && link_.uuid && !info->uuid)) {
      if (named && other_.empty()) other_ = file->name();
      return false;
    }
    // Without an id of its own, nothing but what it had in it tells it from a stranger.
    if (!named && !link_.uuid && (!info->modification_uuid || was_changed(link_, *info))) {
      return false;
    }
    if (!was_changed(link_, *info)) return true;
    if (changed_.empty()) changed_ = file->name();
    return false;
  }

  Result<void> try_beside() {
    return resolver_.candidates(parent_.format->extensions(),
                                [&](const Candidate& candidate) -> Result<bool> {
                                  if (accept(candidate.file, false)) found_ = candidate.file;
                                  return found_ == nullptr;
                                });
  }

  // The files of VirtualBox beside the image, and above a directory of snapshots.
  Result<void> try_registries() {
    static constexpr std::array<std::string_view, 1> kExtension = {"vbox"};
    size_t looked_at = 0;
    return resolver_.candidates(kExtension, [&](const Candidate& vbox) -> Result<bool> {
      // Files that are given, and not looked for, are offered whatever they are called.
      if (!is_vbox(vbox.name)) return true;
      const auto disk = find_registered(*vbox.file, *link_.uuid);
      if (!disk) {
        parent_.warnings.push_back(fmt::format("{} is passed over: {}", printable(vbox.name),
                                               printable(disk.error().message())));
      } else if (*disk) {
        try_registered(**disk, vbox.name);
      }
      return found_ == nullptr && ++looked_at < kMaxRegistries;
    });
  }

  // Another program's word: nothing that is wrong with it is an error of the image.
  void try_registered(const RegisteredDisk& disk, const std::string& vbox) {
    const Format* const format = find_format(disk.format);
    if (format == nullptr || disk.location.empty()) return;
    Result<FilePtr> file = resolver_.open(seen_from_here(vbox, disk.location));
    if (!file) {
      if (file.error().code() != Errc::denied || denied_) return;
      denied_ = std::move(file.error()).within(printable(vbox));
      return;
    }
    const Format* const expected = std::exchange(parent_.format, format);
    if (accept(*file, false)) {
      found_ = *file;
    } else {
      parent_.format = expected;
    }
  }

  Result<void> look_at_time() {
    if (!link_.mtime_s) return {};
    const int64_t changed_s = TRY(found_->stat()).mtime_ns / 1'000'000'000;
    if (std::abs(changed_s - *link_.mtime_s) <= kClockSlack) return {};
    parent_.warnings.emplace_back(
        "its parent's file was changed, or copied without its time, after this image was made");
    return {};
  }

  Error why_not() {
    if (!changed_.empty()) {
      return Error(
          Errc::corrupt,
          fmt::format("its parent {} was changed after this image was made: what they show "
                      "together is not the disk",
                      link_.uuid ? link_.uuid->to_string() : printable(changed_)));
    }
    if (!other_.empty()) {
      return Error(Errc::corrupt,
                   fmt::format("its parent should be the {} with the id {}, and {} is another one",
                               parent_.format->name(), link_.uuid->to_string(), printable(other_)));
    }
    if (denied_) return *std::move(denied_);
    return missing();
  }

  Error missing() const {
    const std::string why = parent_.warnings.empty() ? "" : "; " + parent_.warnings.front();
    if (!link_.reference.empty()) {
      return Error(Errc::not_found,
                   fmt::format("its parent \"{}\" is missing{}", link_.reference, why));
    }
    const auto& id = link_.uuid ? link_.uuid : link_.modification_uuid;
    if (!id) return Error(Errc::corrupt, "has a parent, but does not say which");
    return Error(Errc::not_found,
                 fmt::format("its parent, the {} with the id {}, is not beside it (references=any "
                             "also looks in the directory above){}",
                             parent_.format->name(), id->to_string(), why));
  }

  const ParentLink& link_;
  const Format& format_;
  const Resolver& resolver_;
  FoundParent parent_;
  FilePtr found_;
  // Why not the others.
  std::string changed_, other_;  // names of files
  std::optional<Error> denied_;
};

}  // namespace

Result<FoundParent> find_parent(const ParentLink& link, const Format& format,
                                const Resolver& resolver) {
  return Search(link, format, resolver).run();
}

Result<FoundParent> take_parent(const ParentLink& link, const FilePtr& file, const Format& format) {
  const auto denied = deny_resolver("its parent is given");
  return Search(link, format, *denied).take(file);
}

}  // namespace platter
