#include "formats/qcow2/header_write.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/qcow2/features.h"

namespace platter::qcow2 {
namespace {

constexpr uint64_t kFeatureNamesFrom = 8 * KiB;  // smaller clusters have no room for the table

void append_extension(std::vector<std::byte>& out, ExtensionType type, std::string_view text) {
  if (text.empty()) return;
  append(out, as_bytes_of(
                  RawExtension{static_cast<uint32_t>(type), static_cast<uint32_t>(text.size())}));
  append(out, std::as_bytes(std::span(text)));
  out.resize(align_up(out.size(), 8));
}

void append_encryption(std::vector<std::byte>& out, const Range& luks) {
  append(out, as_bytes_of(RawExtension{static_cast<uint32_t>(ExtensionType::encryption),
                                       sizeof(RawEncryption)}));
  append(out, as_bytes_of(RawEncryption{luks.offset, luks.length}));
}

void append_feature_names(std::vector<std::byte>& out) {
  append(out, as_bytes_of(RawExtension{static_cast<uint32_t>(ExtensionType::feature_names),
                                       sizeof(RawFeatureName) * kFeatures.size()}));
  for (const Feature& feature : kFeatures) {
    RawFeatureName raw{.kind = static_cast<uint8_t>(feature.kind), .bit = feature.bit};
    std::copy(feature.name.begin(), feature.name.end(), raw.name.begin());
    append(out, as_bytes_of(raw));
  }
}

uint64_t incompatible_of(const Shape& shape) {
  uint64_t bits = 0;
  const auto set = [&](bool on, Incompatible feature) {
    if (on) bits |= static_cast<uint64_t>(feature);
  };
  set(!shape.data_file.empty(), Incompatible::external_data);
  set(shape.compression != Compression::deflate, Incompatible::compression);
  set(shape.extended_l2, Incompatible::extended_l2);
  return bits;
}

RawHeader fields_of(const Shape& shape, const TablePlaces& places) {
  RawHeader raw;
  raw.magic = kMagic;
  raw.version = shape.version;
  raw.cluster_bits = shape.cluster_bits;
  raw.size = shape.size;
  raw.crypt_method = static_cast<uint32_t>(shape.encryption);
  raw.l1_size = static_cast<uint32_t>(shape.l1_entries());
  raw.l1_table_offset = places.l1_offset;
  raw.refcount_table_offset = places.refcount_table_offset;
  raw.refcount_table_clusters = static_cast<uint32_t>(places.refcount_table_clusters);
  raw.incompatible_features = incompatible_of(shape);
  raw.compatible_features = shape.lazy_refcounts ? kLazyRefcounts : 0;
  raw.autoclear_features = shape.data_file_raw ? kRawDataFile : 0;
  raw.refcount_order = shape.refcount_order;
  raw.header_length = sizeof raw;
  raw.compression_type = static_cast<uint8_t>(shape.compression);
  return raw;
}

}  // namespace

Result<std::vector<std::byte>> compose_header(const Shape& shape, const TablePlaces& places) {
  RawHeader raw = fields_of(shape, places);
  std::vector<std::byte> out;
  append(out, as_bytes_of(raw).first(shape.version == 2 ? kHeaderV2Size : sizeof raw));
  append_extension(out, ExtensionType::backing_format, shape.backing_format);
  append_extension(out, ExtensionType::data_file, shape.data_file);
  if (shape.encryption == Encryption::luks) append_encryption(out, places.luks);
  if (shape.version >= 3 && shape.cluster_size() >= kFeatureNamesFrom) append_feature_names(out);
  append(out, as_bytes_of(RawExtension{}));
  if (!shape.backing_file.empty()) {
    raw.backing_file_offset = out.size();
    raw.backing_file_size = static_cast<uint32_t>(shape.backing_file.size());
    const Bytes fields = as_bytes_of(raw).first(kHeaderV2Size);
    std::copy(fields.begin(), fields.end(), out.begin());
    append(out, std::as_bytes(std::span(std::string_view(shape.backing_file))));
  }
  if (out.size() <= shape.cluster_size()) return out;
  return Error(Errc::invalid,
               fmt::format("the header with the names in it has {} bytes, a cluster only {}: a "
                           "larger cluster_size or shorter names are needed",
                           out.size(), shape.cluster_size()));
}

}  // namespace platter::qcow2
