#include "tools/complete_value.h"

#include <algorithm>
#include <initializer_list>
#include <ostream>

#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/container/container.h"
#include "lib/host/mount_table.h"
#include "lib/image/registry.h"
#include "lib/ops/info.h"

namespace platter {
namespace {

using Kinds = std::initializer_list<std::string_view>;

bool one_of(std::string_view kind, Kinds kinds) {
  return std::ranges::find(kinds, kind) != kinds.end();
}

}  // namespace

void Offers::add(std::string_view candidate, std::string_view meaning) {
  if (candidate.starts_with(typed_)) out_ << candidate << '\t' << meaning << '\n';
}

bool Offers::add_values(std::string_view kind, const std::string& prefix,
                        const std::string& image) {
  if (kind == "FMT") {
    add_formats(prefix);
  } else if (kind == "FILE") {
    add_files("files", prefix);
  } else if (one_of(kind, {"P", "IMAGE", "A", "B", "FILES"})) {
    add_files("images", prefix);
  } else if (kind == "NAME") {
    add_snapshots(prefix, image);
  } else if (kind == "MOUNTPOINT") {
    add_mountpoints();
  } else if (kind == "WHICH") {
    return add_values("none|beside|any", prefix, image);
  } else if (kind == "WHAT") {
    return add_values("leaks|all", prefix, image);
  } else if (kind == "KEY=VALUE") {
    return add_values(
        "uuid=|modification-uuid=|parent-uuid=|parent-modification-uuid=|comment=|geometry-lchs=|"
        "geometry-pchs=",
        prefix, image);
  } else if (kind == "json" || kind.find('|') != std::string_view::npos) {
    for (std::string_view rest = kind; !rest.empty();) {
      const size_t end = std::min(rest.find('|'), rest.size());
      add(prefix + std::string(rest.substr(0, end)));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  } else {
    // Of these nothing can be known.
    return one_of(kind, {"N", "MS", "SIZE", "NEW-NAME", "OCTAL", "TEXT"});
  }
  return true;
}

void Offers::add_files(std::string_view kind, const std::string& prefix) {
  out_ << '\t' << kind;
  if (kind == "images") {
    for (const Format* format : all_formats()) {
      for (const std::string_view extension : format->extensions()) out_ << ' ' << extension;
    }
  }
  out_ << '\t' << prefix << '\n';
}

void Offers::add_formats(const std::string& prefix) {
  for (const Format* format : all_formats()) add(prefix + std::string(format->name()));
}

void Offers::add_snapshots(const std::string& prefix, const std::string& image) {
  if (image.empty()) return;
  ContainerOptions options;
  options.parents = false;
  const auto container = Container::open(image, options);
  if (!container) return;
  const auto described = describe({.container = **container});
  if (!described) return;
  for (const nlohmann::json& snapshot : described->at("snapshots")) {
    add(prefix + snapshot.at("name").get<std::string>());
  }
}

void Offers::add_mountpoints() {
  const auto mounts = read_mounts();
  if (!mounts) return;
  for (const HostMount& mount : *mounts) {
    if (mount.type == "fuse.platterfs") add(printable(mount.point), printable(mount.source));
  }
}

void Offers::add_format_options(const std::string& format, bool amend) {
  // The last key of the list.
  const size_t comma = typed_.rfind(',');
  const std::string prefix = comma == std::string::npos ? "" : typed_.substr(0, comma + 1);
  for (const Format* each : all_formats()) {
    if (!format.empty() && each->name() != format) continue;
    for (const OptionSpec& option : amend ? each->amend_options() : each->create_options()) {
      add(prefix + std::string(option.name) + "=", option.help);
    }
    if (amend) continue;
    for (const CreatableVariant& variant : each->creatable_variants()) {
      add(prefix + "subformat=" + std::string(variant.name));
    }
  }
}

}  // namespace platter
