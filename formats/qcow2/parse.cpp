#include "formats/qcow2/parse.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/qcow2/features.h"
#include "lib/base/checked.h"
#include "lib/image/stored_name.h"

namespace platter::qcow2 {
namespace {

Error corrupt(std::string message) { return Error(Errc::corrupt, std::move(message)); }

bool has(uint64_t features, Incompatible bit) {
  return (features & static_cast<uint64_t>(bit)) != 0;
}

Result<RawHeader> read_header(const File& file) {
  RawHeader raw;
  const auto bytes = std::as_writable_bytes(std::span(&raw, 1));
  const size_t n = TRY(file.read_available(0, bytes));
  if (n < 8 || raw.magic != kMagic) {
    return Error(Errc::wrong_format, "header: does not begin with qcow2's magic");
  }
  if (raw.version == 1) return Error(Errc::wrong_format, "header: version 1 is not qcow2");
  if (raw.version != 2 && raw.version != 3) {
    return Error(Errc::unsupported,
                 fmt::format("header: version {} is not supported", uint32_t{raw.version}));
  }
  const uint64_t needed = raw.version == 2 ? kHeaderV2Size : kHeaderV3Size;
  if (n < needed) return corrupt(fmt::format("header: truncated: {} of {} bytes", n, needed));
  if (raw.version == 2) {
    // What follows are extensions; the fields have their implied values.
    std::fill(bytes.begin() + kHeaderV2Size, bytes.end(), std::byte{0});
    raw.refcount_order = 4;
    raw.header_length = kHeaderV2Size;
  }
  if (raw.version == 3 && raw.header_length == kHeaderV3Size) raw.compression_type = 0;
  return raw;
}

Result<void> check_sizes(const RawHeader& raw) {
  if (raw.cluster_bits < kMinClusterBits || raw.cluster_bits > kMaxClusterBits) {
    return corrupt(
        fmt::format("header: cluster size 2^{} is out of range", uint32_t{raw.cluster_bits}));
  }
  const uint64_t cluster_size = uint64_t{1} << raw.cluster_bits;
  if (raw.version == 2) return {};
  if (raw.header_length < kHeaderV3Size) return corrupt("header: its length is too short");
  if (raw.header_length > cluster_size) return corrupt("header: longer than a cluster");
  if (raw.header_length % 8 != 0) return corrupt("header: its length is not a multiple of 8");
  return {};
}

Result<void> check_backing(const RawHeader& raw) {
  const uint64_t offset = raw.backing_file_offset;
  const uint64_t cluster_size = uint64_t{1} << raw.cluster_bits;
  if (offset == 0) return {};
  if (offset > cluster_size) return corrupt("backing file name: not in the first cluster");
  if (offset < raw.header_length) return corrupt("backing file name: lies inside the header");
  if (raw.backing_file_size > std::min<uint64_t>(kMaxBackingName, cluster_size - offset)) {
    return corrupt(
        fmt::format("backing file name: too long ({} bytes)", uint32_t{raw.backing_file_size}));
  }
  return {};
}

// Only the bytes the file has: a short file has a short area.
Result<Extensions> read_extensions(const File& file, const RawHeader& raw) {
  const uint64_t end = raw.backing_file_offset != 0 ? uint64_t{raw.backing_file_offset}
                                                    : uint64_t{1} << raw.cluster_bits;
  const uint64_t limit = end - raw.header_length;
  const uint64_t size = TRY(file.stat()).size;
  std::vector<std::byte> area(std::min(limit, size - std::min<uint64_t>(size, raw.header_length)));
  TRY(file.read_exact(raw.header_length, area));
  return parse_extensions(area, limit);
}

Result<void> check_features(const RawHeader& raw, const Extensions& extensions) {
  const uint64_t features = raw.incompatible_features;
  if (const uint64_t unknown = features & ~kKnownIncompatible; unknown != 0) {
    const auto names = names_of_features(FeatureKind::incompatible, unknown, extensions);
    return Error(Errc::unsupported,
                 fmt::format("header: needs a feature this version does not have: {}",
                             fmt::join(names, ", ")));
  }
  if (has(features, Incompatible::compression) != (raw.compression_type != 0)) {
    return corrupt("header: compression type and its feature bit contradict each other");
  }
  if (raw.compression_type > static_cast<uint8_t>(Compression::zstd)) {
    return Error(Errc::unsupported,
                 fmt::format("header: compression type {} is not supported", raw.compression_type));
  }
  if (raw.refcount_order > kMaxRefcountOrder) {
    return corrupt(fmt::format("header: refcounts of 2^{} bits", uint32_t{raw.refcount_order}));
  }
  if (has(features, Incompatible::extended_l2) && raw.cluster_bits < kMinExtendedClusterBits) {
    return corrupt("header: extended L2 entries need clusters of at least 16 KiB");
  }
  return {};
}

Result<void> take_encryption(const RawHeader& raw, const Extensions& extensions, Header& header) {
  if (raw.crypt_method > static_cast<uint32_t>(Encryption::luks)) {
    return Error(Errc::unsupported, fmt::format("header: encryption method {} is not supported",
                                                uint32_t{raw.crypt_method}));
  }
  header.encryption = static_cast<Encryption>(uint32_t{raw.crypt_method});
  const bool luks = header.encryption == Encryption::luks;
  if (luks != extensions.encryption.has_value()) {
    return corrupt(luks ? "header extensions: the encryption header's place is missing"
                        : "header extensions: an encryption header, but no LUKS encryption");
  }
  if (!luks || header.nothing_left) return {};
  const Range place{extensions.encryption->offset, extensions.encryption->length};
  if (place.offset == 0 || place.offset % header.cluster_size() != 0) {
    return corrupt(
        fmt::format("encryption header: {:#x} is not aligned to a cluster", place.offset));
  }
  if (place.empty() || !fits(place.offset, place.length, header.file_size)) {
    return corrupt(fmt::format("encryption header: past the end of the file ({} bytes at {:#x})",
                               place.length, place.offset));
  }
  header.luks = place;
  return {};
}

Result<void> check_external_data(const Header& header) {
  if (header.data_file_raw && !header.external_data) {
    return corrupt("header: says its data file is raw, but has none");
  }
  if (header.data_file_raw && !header.backing_file.empty()) {
    return corrupt("header: a raw data file and a backing file exclude each other");
  }
  if (!header.external_data) return {};
  if (header.snapshots != 0) {
    return corrupt("header: an external data file and internal snapshots exclude each other");
  }
  if (header.data_file.empty()) {
    return corrupt("external data file: its name is missing from the header");
  }
  return {};
}

Result<void> take_refcount_table(const RawHeader& raw, Header& header) {
  const uint64_t clusters = raw.refcount_table_clusters;
  if (clusters == 0) return corrupt("refcount table: has no clusters");
  if (clusters > kMaxRefcountTableBytes >> header.cluster_bits) {
    return corrupt(fmt::format("refcount table: too large ({} clusters)", clusters));
  }
  // Its last cluster may be cut short by the end of the file.
  Header rounded = header;
  rounded.file_size = align_up(header.file_size, header.cluster_size());
  header.refcount_table =
      TRY(check_table("refcount table", raw.refcount_table_offset,
                      (clusters << header.cluster_bits) / sizeof(be64), rounded));
  return {};
}

Result<Table> check_l1(const RawHeader& raw, const Header& header) {
  const uint64_t entry_size = header.extended_l2 ? 16 : 8;
  const uint64_t covered = header.cluster_size() * (header.cluster_size() / entry_size);
  if (raw.l1_size > kMaxL1Bytes / sizeof(be64)) {
    return corrupt(fmt::format("L1 table: too large ({} entries)", uint32_t{raw.l1_size}));
  }
  if (const uint64_t needed = div_up(header.size, covered); raw.l1_size < needed) {
    return corrupt(fmt::format("L1 table: too small: {} entries, the disk needs {}",
                               uint32_t{raw.l1_size}, needed));
  }
  if (header.nothing_left) return Table{};
  return check_table("L1 table", raw.l1_table_offset, raw.l1_size, header);
}

Result<void> take_bitmaps(const Extensions& extensions, Header& header) {
  const RawBitmaps& raw = *extensions.bitmaps;
  if (raw.count == 0 || raw.count > kMaxBitmaps) {
    return corrupt(fmt::format("bitmaps: {} of them", uint32_t{raw.count}));
  }
  if (raw.directory_size > kMaxBitmapDirectoryBytes) return corrupt("bitmap directory: too large");
  header.bitmaps = raw.count;
  if (header.nothing_left) return {};
  header.bitmap_directory = TRY(check_table("bitmap directory", raw.directory_offset,
                                            div_up(raw.directory_size, sizeof(be64)), header));
  return {};
}

Result<std::string> read_backing_name(const File& file, const RawHeader& raw, uint64_t file_size) {
  if (!fits(raw.backing_file_offset, raw.backing_file_size, file_size)) {
    return corrupt("backing file name: past the end of the file");
  }
  std::vector<std::byte> name(raw.backing_file_size);
  TRY(file.read_exact(raw.backing_file_offset, name));
  return stored_name("backing file name", name);
}

void take_fields(const RawHeader& raw, Header& header) {
  const uint64_t features = raw.incompatible_features;
  header.version = raw.version;
  header.header_length = raw.header_length;
  header.cluster_bits = raw.cluster_bits;
  header.size = align_down(raw.size, kSector);
  header.refcount_order = raw.refcount_order;
  header.autoclear = raw.autoclear_features;
  header.dirty = has(features, Incompatible::dirty);
  header.marked_corrupt = has(features, Incompatible::corrupt);
  header.corrupt = header.marked_corrupt;
  header.external_data = has(features, Incompatible::external_data);
  header.extended_l2 = has(features, Incompatible::extended_l2);
  header.compression = static_cast<Compression>(raw.compression_type);
  header.lazy_refcounts = (raw.compatible_features & kLazyRefcounts) != 0;
  header.data_file_raw = (raw.autoclear_features & kRawDataFile) != 0;
  header.nothing_left = header.file_size <= header.cluster_size();
  if (header.size != raw.size) {
    header.warnings.push_back(fmt::format(
        "header: a disk of {} bytes is not whole sectors: rounded down", uint64_t{raw.size}));
  }
  if (header.corrupt) header.warnings.push_back("is marked as corrupt");
  if (header.nothing_left) {
    header.corrupt = true;
    header.warnings.push_back("the file ends inside its first cluster: all data is missing");
  }
}

Result<void> take_snapshot_place(const RawHeader& raw, Damage damage, Header& header) {
  if (raw.nb_snapshots > kMaxSnapshots) {
    return corrupt(fmt::format("snapshot table: {} snapshots", uint32_t{raw.nb_snapshots}));
  }
  if (raw.nb_snapshots != 0 && header.nothing_left) {
    return corrupt("snapshot table: past the end of the file");
  }
  header.snapshots = raw.nb_snapshots;
  if (header.snapshots == 0) {
    // No reason not to read the disk, but QEMU refuses to check such an image.
    const uint64_t offset = raw.snapshots_offset;
    if (damage == Damage::refused ||
        (offset <= kMaxOffset && offset % header.cluster_size() == 0)) {
      return {};
    }
    return corrupt(fmt::format("snapshot table: is empty, but said to be at {:#x}", offset));
  }
  constexpr uint64_t kWords = sizeof(RawSnapshot) / sizeof(be64);
  header.snapshots_offset =
      TRY(check_table("snapshot table", raw.snapshots_offset, header.snapshots * kWords, header))
          .offset;
  return {};
}

// Of a count that is too large, some snapshots may be there all the same.
void keep_snapshot_place(const RawHeader& raw, Header& header) {
  const uint64_t offset = raw.snapshots_offset;
  const bool aligned = (offset & (header.cluster_size() - 1)) == 0;
  const bool there = aligned && offset != 0 && offset < header.file_size && !header.nothing_left;
  header.snapshots = there ? std::min<uint32_t>(raw.nb_snapshots, kMaxSnapshots) : 0;
  header.snapshots_offset = there ? offset : 0;
}

// The tables that are not needed to read the disk.
Result<void> take_other_tables(const RawHeader& raw, const Extensions& extensions, Damage damage,
                               Header& header) {
  const auto settle = [&](Result<void> outcome, std::string& fault) -> Result<void> {
    if (outcome || damage == Damage::refused) return outcome;
    fault = outcome.error().message();
    header.warnings.push_back(fault);
    header.corrupt = true;
    return {};
  };
  if (!header.nothing_left) {
    TRY(settle(take_refcount_table(raw, header), header.refcount_table_fault));
  }
  TRY(settle(take_snapshot_place(raw, damage, header), header.snapshot_table_fault));
  if (!header.snapshot_table_fault.empty()) keep_snapshot_place(raw, header);
  if (!extensions.bitmaps || (raw.autoclear_features & kBitmapsValid) == 0) return {};
  TRY(settle(take_bitmaps(extensions, header), header.bitmaps_fault));
  if (!header.bitmaps_fault.empty()) header.bitmaps = 0;
  return {};
}

}  // namespace

Result<Table> check_table(std::string_view what, uint64_t offset, uint64_t entries,
                          const Header& header) {
  if (offset % header.cluster_size() != 0) {
    return corrupt(fmt::format("{}: {:#x} is not aligned to a cluster", what, offset));
  }
  if (entries == 0) return Table{};
  if (offset == 0) return corrupt(fmt::format("{}: at the header's place", what));
  if (!fits(offset, entries * sizeof(be64), header.file_size)) {
    return corrupt(fmt::format("{}: past the end of the file ({} bytes at {:#x}, the file has {})",
                               what, entries * sizeof(be64), offset, header.file_size));
  }
  return Table{offset, entries};
}

Result<Header> parse_header(const File& file, Damage damage) {
  const RawHeader raw = TRY(read_header(file));
  TRY(check_sizes(raw));
  TRY(check_backing(raw));
  Extensions extensions = TRY(read_extensions(file, raw));
  TRY(check_features(raw, extensions));

  Header header;
  header.file_size = TRY(file.stat()).size;
  header.warnings = std::move(extensions.warnings);
  header.backing_format = std::move(extensions.backing_format);
  header.data_file = std::move(extensions.data_file);
  header.unknown_extensions = extensions.unknown;
  header.features = {
      names_of_features(FeatureKind::incompatible, raw.incompatible_features, extensions),
      names_of_features(FeatureKind::compatible, raw.compatible_features, extensions),
      names_of_features(FeatureKind::autoclear, raw.autoclear_features, extensions)};
  take_fields(raw, header);
  if (raw.backing_file_offset != 0) {
    header.backing_file = TRY(read_backing_name(file, raw, header.file_size));
  }
  TRY(take_encryption(raw, extensions, header));
  header.l1 = TRY(check_l1(raw, header));
  TRY(take_other_tables(raw, extensions, damage, header));
  TRY(check_external_data(header));
  return header;
}

}  // namespace platter::qcow2
