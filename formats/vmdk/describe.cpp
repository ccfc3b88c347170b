#include "formats/vmdk/describe.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vmdk/file_names.h"
#include "lib/base/text.h"

namespace platter::vmdk {
namespace {

// Extents whose lines are shown one by one.
constexpr size_t kMaxShown = 64;

// createType, spelled as everybody spells it.
std::string variant_of(const Descriptor& descriptor) {
  const std::string stored = descriptor.value("createType").value_or("custom");
  // Workstation 4 called the split disks otherwise.
  if (lower_case(stored) == "2gbmaxextentsparse") return "twoGbMaxExtentSparse";
  if (lower_case(stored) == "2gbmaxextentflat") return "twoGbMaxExtentFlat";
  for (const char* known :
       {"monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat",
        "streamOptimized", "vmfs", "vmfsPreallocated", "vmfsEagerZeroedThick", "vmfsThin",
        "vmfsSparse", "seSparse", "fullDevice", "partitionedDevice", "custom"}) {
    if (lower_case(stored) == lower_case(known)) return known;
  }
  return stored;
}

std::string content_id(const Descriptor& descriptor, const char* key) {
  const std::string id = descriptor.hex_value(key).value_or("");
  return id == kNoContentId || id == kLongContentId ? "" : id;
}

std::string_view word(ExtentLine::Access access) {
  switch (access) {
    case ExtentLine::Access::read_write: return "RW";
    case ExtentLine::Access::read_only: return "RDONLY";
    case ExtentLine::Access::none: return "NOACCESS";
  }
  return "RW";
}

std::string line_of(const Opened& opened, size_t index) {
  const Descriptor& descriptor = *opened.descriptor;
  const ExtentLine& line = descriptor.extents()[index];
  std::string text = fmt::format("{} {} {}", word(line.access), line.sectors, line.type);
  if (!line.file.empty()) {
    text += fmt::format(" \"{}\"", as_utf8(line.file, descriptor.value("encoding").value_or("")));
  }
  if (line.offset != 0) text += fmt::format(" {}", line.offset);
  if (index < opened.parts.size()) {
    const std::string more = opened.parts[index].extent->description();
    if (!more.empty()) text += fmt::format(" ({})", more);
  }
  return text;
}

void add_details(const Opened& opened, ImageInfo& info) {
  const Descriptor& d = *opened.descriptor;
  const auto add = [&](const char* name, const char* key) {
    if (const auto value = d.value(key)) info.details.emplace_back(name, *value);
  };
  add("create_type", "createType");
  add("version", "version");
  if (const auto id = d.hex_value("CID")) info.details.emplace_back("cid", *id);
  if (const auto id = d.hex_value("parentCID")) info.details.emplace_back("parent_cid", *id);
  add("long_content_id", "ddb.longContentID");
  add("encoding", "encoding");
  add("adapter_type", "ddb.adapterType");
  add("hardware_version", "ddb.virtualHWVersion");
  add("tools_version", "ddb.toolsVersion");
  add("vmware_uuid", "ddb.uuid");
  add("changed_blocks", "changeTrackPath");
  info.details.emplace_back("extents", uint64_t{d.extents().size()});
  for (size_t i = 0; i < std::min(d.extents().size(), kMaxShown); ++i) {
    info.details.emplace_back(fmt::format("extent_{}", i + 1), line_of(opened, i));
  }
}

}  // namespace

std::string escaped(std::string_view comment) {
  std::string out;
  for (const char c : comment) {
    switch (c) {
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      default: out += c;
    }
  }
  return out;
}

std::string unescaped(std::string_view stored) {
  std::string out;
  for (size_t i = 0; i < stored.size(); ++i) {
    if (stored[i] != '\\' || i + 1 == stored.size()) {
      out += stored[i];
      continue;
    }
    const char next = stored[++i];
    out += next == 'n' ? '\n' : next == 'r' ? '\r' : next;
  }
  return out;
}

std::optional<ParentLink> parent_of(const Descriptor& d) {
  const std::string hint = d.value("parentFileNameHint").value_or("");
  const auto uuid = d.uuid_value(kParentKey);
  const bool by_content = d.hex_value("parentCID").value_or(kNoContentId) != kNoContentId;
  if (!by_content && !uuid && hint.empty()) return std::nullopt;
  ParentLink link{.format = "vmdk",
                  .uuid = uuid,
                  .modification_uuid = d.uuid_value(kParentModificationKey),
                  .content_id = content_id(d, "parentCID")};
  std::vector<std::string> names = references(hint, d.value("encoding").value_or(""));
  if (names.empty()) return link;
  link.reference = names.front();
  link.other_references.assign(names.begin() + 1, names.end());
  return link;
}

ImageInfo describe(const Opened& opened) {
  ImageInfo info{.format = "vmdk", .variant = opened.bare_variant, .warnings = opened.warnings};
  for (const Part& part : opened.parts) {
    info.block_size = std::max(info.block_size, part.extent->grain_size());
    info.dirty = info.dirty || part.extent->unclean();
    for (const std::string& warning : part.extent->warnings()) {
      const FilePtr file = part.extent->file();
      const bool own = opened.parts.size() == 1;
      const std::string name = own || !file ? "" : file->name() + ": ";
      info.warnings.push_back(name + warning);
    }
  }
  if (!opened.descriptor) return info;
  const Descriptor& d = *opened.descriptor;
  info.variant = variant_of(d);
  info.uuid = d.uuid_value(kUuidKey);
  info.modification_uuid = d.uuid_value(kModificationKey);
  info.content_id = content_id(d, "CID");
  info.parent = parent_of(d);
  info.pchs = d.geometry("cylinders", "heads", "sectors");
  info.lchs = d.geometry("biosCylinders", "biosHeads", "biosSectors");
  info.comment = unescaped(d.value("ddb.comment").value_or(""));
  add_details(opened, info);
  return info;
}

}  // namespace platter::vmdk
