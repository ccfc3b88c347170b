#include "formats/vmdk/metadata.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vmdk/describe.h"
#include "lib/base/text.h"
#include "lib/image/metadata_value.h"

namespace platter::vmdk {
namespace {

// VirtualBox reads no longer ones.
constexpr size_t kMaxComment = 1023;

// Which line a UUID stands in; null: it is no UUID.
const char* uuid_line(const std::string& key) {
  if (key == "uuid") return kUuidKey;
  if (key == "modification-uuid") return kModificationKey;
  if (key == "parent-uuid") return kParentKey;
  if (key == "parent-modification-uuid") return kParentModificationKey;
  return nullptr;
}

// Names and comments are written in UTF-8.
Result<void> expect_utf8(const Descriptor& descriptor, std::string_view value) {
  const std::string encoding = descriptor.value("encoding").value_or("UTF-8");
  const bool ascii = std::ranges::all_of(value, [](char c) { return (c & 0x80) == 0; });
  if (ascii || lower_case(encoding) == "utf-8") return {};
  return Error(Errc::unsupported,
               fmt::format("the descriptor is in {}: only letters of ASCII can be written into it",
                           printable(encoding)));
}

Result<void> set_uuid(Descriptor& descriptor, const std::string& key, const std::string& value) {
  const Uuid uuid = TRY(uuid_value(key, value));
  const bool own = key == "uuid" || key == "modification-uuid";
  if (own && uuid.is_nil()) {
    return Error(Errc::invalid, fmt::format("{}={}: must not be nil", key, value));
  }
  if (!own && !parent_of(descriptor)) {
    return Error(Errc::unsupported, fmt::format("{}: the image has no parent", key));
  }
  descriptor.set(uuid_line(key), uuid.to_string());
  return {};
}

Result<void> set_comment(Descriptor& descriptor, const std::string& value) {
  const std::string stored = escaped(value);
  if (!is_utf8(value) || !fits_in_quotes(stored)) {
    return Error(Errc::invalid, "comment: not a text in UTF-8 without quotes");
  }
  if (stored.size() > kMaxComment) {
    return Error(Errc::invalid, fmt::format("comment: {} bytes, at most {} are possible",
                                            stored.size(), kMaxComment));
  }
  TRY(expect_utf8(descriptor, stored));
  if (stored.empty()) {
    descriptor.remove("ddb.comment");
  } else {
    descriptor.set("ddb.comment", stored);
  }
  return {};
}

Result<void> set_geometry(Descriptor& descriptor, const std::string& key,
                          const std::string& value) {
  const bool physical = key == "geometry-pchs";
  const uint32_t most_heads = physical ? 16 : 255;
  const auto chs = parse_chs(value);
  // Adapters of SCSI count as many heads physically as others do logically.
  const bool scsi = physical && descriptor.value("ddb.adapterType").value_or("ide") != "ide";
  if (!chs || chs->heads > (scsi ? 255 : most_heads) || chs->sectors > 63) {
    return Error(Errc::invalid, fmt::format("{}={}: must be C/H/S, at most {} heads and 63 sectors",
                                            key, printable(value), scsi ? 255 : most_heads));
  }
  const std::string start = physical ? "ddb.geometry." : "ddb.geometry.bios";
  descriptor.set(start + (physical ? "cylinders" : "Cylinders"), std::to_string(chs->cylinders));
  descriptor.set(start + (physical ? "heads" : "Heads"), std::to_string(chs->heads));
  descriptor.set(start + (physical ? "sectors" : "Sectors"), std::to_string(chs->sectors));
  return {};
}

}  // namespace

Result<void> change_metadata(Descriptor& descriptor, const Metadata& values) {
  for (const auto& [key, value] : values) {
    if (uuid_line(key) != nullptr) {
      TRY(set_uuid(descriptor, key, value));
    } else if (key == "comment") {
      TRY(set_comment(descriptor, value));
    } else if (key == "geometry-pchs" || key == "geometry-lchs") {
      TRY(set_geometry(descriptor, key, value));
    } else {
      return Error(Errc::unsupported,
                   fmt::format("{}: a VMDK keeps no such value", printable(key)));
    }
  }
  return {};
}

Result<void> change_parent(Descriptor& descriptor, const ParentLink& parent) {
  if (!parent_of(descriptor)) return Error(Errc::unsupported, "the image has no parent");
  if (!parent.format.empty() && parent.format != "vmdk") {
    return Error(Errc::unsupported,
                 fmt::format("the parent is {}: a VMDK can only have another VMDK", parent.format));
  }
  // Who tells the time of the parent would tell what it held.
  const bool may_have_changed = !parent.modification_uuid && !parent.mtime_s;
  if (parent.content_id.empty() && !may_have_changed) {
    return Error(Errc::unsupported, "the parent has no CID, by which a VMDK knows it again");
  }
  if (!fits_in_quotes(parent.reference) || parent.reference.empty()) {
    return Error(Errc::unsupported, "the parent's name cannot stand in a descriptor");
  }
  TRY(expect_utf8(descriptor, parent.reference));
  descriptor.set("parentCID", parent.content_id.empty() ? kLongContentId : parent.content_id);
  descriptor.set("parentFileNameHint", parent.reference);
  descriptor.remove(kParentKey);
  descriptor.remove(kParentModificationKey);
  if (!parent.uuid) return {};
  descriptor.set(kParentKey, parent.uuid->to_string());
  descriptor.set(kParentModificationKey, parent.modification_uuid.value_or(Uuid{}).to_string());
  return {};
}

Result<void> remove_parent(Descriptor& descriptor) {
  if (!parent_of(descriptor)) return Error(Errc::unsupported, "has no parent to drop");
  descriptor.set("parentCID", kNoContentId);
  for (const char* key : {"parentFileNameHint", kParentKey, kParentModificationKey}) {
    descriptor.remove(key);
  }
  return {};
}

}  // namespace platter::vmdk
