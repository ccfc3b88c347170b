#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/container/archive_path.h"
#include "lib/ops/info.h"

namespace platter {
namespace {

using nlohmann::json;

json text_or_null(const std::string& text) {
  return text.empty() ? json(nullptr) : json(printable(text));
}

json describe_disk(const std::string& path, const ArchivedDisk& disk) {
  json out = {{"id", printable(disk.id)},
              {"member", text_or_null(disk.member)},
              {"offset", nullptr},
              {"size", nullptr},
              {"capacity", disk.capacity == 0 ? json(nullptr) : json(disk.capacity)},
              {"format", nullptr},
              {"variant", nullptr},
              {"virtual_size", nullptr},
              {"declared_format", text_or_null(disk.format)},
              {"parent", text_or_null(disk.parent)},
              {"problem", text_or_null(disk.problem)}};
  if (!disk.place.empty()) {
    out["offset"] = disk.place.offset;
    out["size"] = disk.place.length;
  }
  if (!disk.problem.empty()) return out;
  const auto opened = Container::open(path_in(path, disk.member), {.parents = false});
  if (!opened) {
    out["problem"] = printable(opened.error().message());
    return out;
  }
  const ChainLayer& layer = (*opened)->chain().front();
  out["format"] = layer.image->info().format;
  out["variant"] = layer.image->info().variant;
  out["virtual_size"] = layer.image->size();
  return out;
}

}  // namespace

Result<json> describe_archive(const std::string& path, const Archive& archive) {
  const FilePtr file = TRY(PosixFile::open(path));
  json out = {{"file", printable(path)},
              {"format", archive.format()},
              {"allocated_size", TRY(file->stat()).allocated},
              {"systems", json::array()},
              {"disks", json::array()},
              {"warnings", json::array()}};
  for (const std::string& system : archive.systems()) out["systems"].push_back(printable(system));
  for (const std::string& warning : archive.warnings()) {
    out["warnings"].push_back(printable(warning));
  }
  for (const ArchivedDisk& disk : archive.disks()) {
    json described = describe_disk(path, disk);
    const json& size = described["virtual_size"];
    if (!size.is_null() && disk.capacity != 0 && size != disk.capacity) {
      out["warnings"].push_back(printable(disk.member) +
                                ": the disk is not as large as the archive says");
    }
    out["disks"].push_back(std::move(described));
  }
  return out;
}

}  // namespace platter
