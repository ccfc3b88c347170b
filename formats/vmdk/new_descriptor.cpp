#include "formats/vmdk/new_descriptor.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vmdk/describe.h"
#include "formats/vmdk/layout.h"

namespace platter::vmdk {
namespace {

void add_ddb(std::string& text, std::string_view key, std::string_view value) {
  text += fmt::format("{} = \"{}\"\n", key, value);
}

// Both VMware's and VirtualBox's ways: each knows the one only.
void add_uuids(std::string& text, const NewDescriptor& d) {
  add_ddb(text, kUuidKey, Uuid::random().to_string());
  add_ddb(text, kModificationKey, Uuid::random().to_string());
  if (!d.parent || !d.parent->uuid) return;
  add_ddb(text, kParentKey, d.parent->uuid->to_string());
  add_ddb(text, kParentModificationKey, d.parent->modification_uuid.value_or(Uuid{}).to_string());
}

}  // namespace

std::string random_content_id() {
  for (;;) {
    const std::string digits = Uuid::random().to_string().substr(0, 8);
    if (digits != kNoContentId && digits != kLongContentId) return digits;
  }
}

Geometry geometry_of(uint64_t size, std::string_view adapter_type) {
  const bool ide = adapter_type == "ide";
  const uint64_t heads = ide ? 16 : 255, sectors = 63;
  const uint64_t cylinders = size / (heads * sectors * kSector);
  const uint64_t most = ide ? 16383 : 0xffffffff;
  return {static_cast<uint32_t>(std::clamp<uint64_t>(cylinders, 1, most)),
          static_cast<uint32_t>(heads), static_cast<uint32_t>(sectors)};
}

std::string extent_line(uint64_t sectors, std::string_view type, std::string_view file) {
  return fmt::format("RW {} {} \"{}\"{}", sectors, type, file, type == "FLAT" ? " 0" : "");
}

std::string text_of(const NewDescriptor& d) {
  std::string text = "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\n";
  text += fmt::format("CID={}\nparentCID={}\ncreateType=\"{}\"\n", random_content_id(),
                      d.parent ? d.parent->content_id : kNoContentId, d.create_type);
  if (d.parent) text += fmt::format("parentFileNameHint=\"{}\"\n", d.parent->reference);
  text += "\n# Extent description\n";
  for (const std::string& line : d.extents) text += line + "\n";
  text += "\n# The Disk Data Base\n#DDB\n\n";
  const Geometry geometry = geometry_of(d.size, d.adapter_type);
  add_ddb(text, "ddb.virtualHWVersion", d.hardware_version);
  add_ddb(text, "ddb.geometry.cylinders", std::to_string(geometry.cylinders));
  add_ddb(text, "ddb.geometry.heads", std::to_string(geometry.heads));
  add_ddb(text, "ddb.geometry.sectors", std::to_string(geometry.sectors));
  add_ddb(text, "ddb.adapterType", d.adapter_type);
  add_ddb(text, "ddb.toolsVersion", d.tools_version);
  add_uuids(text, d);
  return text;
}

}  // namespace platter::vmdk
