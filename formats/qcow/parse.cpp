#include "formats/qcow/parse.h"

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/image/stored_name.h"

namespace platter::qcow {
namespace {

template <class... Args>
Error corrupt(fmt::format_string<Args...> text, Args&&... args) {
  return {Errc::corrupt, fmt::format(text, std::forward<Args>(args)...)};
}

Result<RawHeader> read_header(const File& file) {
  RawHeader raw;
  const size_t n = TRY(file.read_available(0, std::as_writable_bytes(std::span(&raw, 1))));
  if (n < offsetof(RawHeader, backing_file_offset) || raw.magic != kMagic ||
      raw.version != kVersion) {
    return Error(Errc::wrong_format, "header: does not begin as a qcow of version 1");
  }
  if (n < sizeof raw) return corrupt("header: truncated: {} of {} bytes", n, sizeof raw);
  return raw;
}

Result<void> check_encryption(const RawHeader& raw) {
  if (raw.crypt_method <= kAes) return {};
  return Error(Errc::unsupported, fmt::format("header: encryption method {} is not supported",
                                              uint32_t{raw.crypt_method}));
}

Result<void> check_sizes(const RawHeader& raw) {
  if (raw.cluster_bits < kMinClusterBits || raw.cluster_bits > kMaxClusterBits) {
    return corrupt("header: cluster size 2^{} is out of range", unsigned{raw.cluster_bits});
  }
  if (raw.l2_bits < kMinL2Bits || raw.l2_bits > kMaxL2Bits) {
    return corrupt("header: L2 tables of 2^{} entries are out of range", unsigned{raw.l2_bits});
  }
  if (raw.size < kSector) {
    return corrupt("header: a disk of {} bytes is less than a sector", uint64_t{raw.size});
  }
  if (raw.size > kMaxOffset) return corrupt("header: a disk of more than 8 EiB");
  return {};
}

Result<void> take_l1(const RawHeader& raw, Header& header) {
  header.l1_offset = raw.l1_table_offset;
  header.l1_entries = div_up(raw.size, header.table_span());
  if (header.l1_entries > kMaxL1Entries) {
    return corrupt("L1 table: too large ({} entries)", header.l1_entries);
  }
  if (header.l1_offset < sizeof(RawHeader)) return corrupt("L1 table: lies inside the header");
  if (header.l1_offset % sizeof(be64) != 0) {
    return corrupt("L1 table: {:#x} is not aligned to its entries", header.l1_offset);
  }
  const uint64_t bytes = header.l1_entries * sizeof(be64);
  if (!fits(header.l1_offset, bytes, header.file_size)) {
    return corrupt("L1 table: past the end of the file ({} bytes at {:#x}, the file has {})", bytes,
                   header.l1_offset, header.file_size);
  }
  return {};
}

Result<void> take_backing(const File& file, const RawHeader& raw, Header& header) {
  if (raw.backing_file_offset == 0) return {};
  const Range name{raw.backing_file_offset, raw.backing_file_size};
  if (name.length > kMaxBackingName) {
    return corrupt("backing file name: too long ({} bytes)", name.length);
  }
  if (!fits(name.offset, name.length, header.file_size)) {
    return corrupt("backing file name: past the end of the file");
  }
  if (name.offset < sizeof(RawHeader)) return corrupt("backing file name: lies inside the header");
  if (!intersect(name, header.l1()).empty()) {
    return corrupt("backing file name: lies inside the L1 table");
  }
  std::vector<std::byte> bytes(name.length);
  TRY(file.read_exact(name.offset, bytes));
  header.backing_file = TRY(stored_name("backing file name", bytes));
  header.backing_name = name;
  return {};
}

}  // namespace

bool Header::holds_any_of(const Range& range) const {
  for (const Range& own : {Range{0, sizeof(RawHeader)}, backing_name, l1()}) {
    if (!intersect(range, own).empty()) return true;
  }
  return false;
}

Result<Header> parse_header(const File& file) {
  const RawHeader raw = TRY(read_header(file));
  TRY(check_encryption(raw));
  TRY(check_sizes(raw));
  Header header{.size = align_down(raw.size, kSector),
                .cluster_bits = raw.cluster_bits,
                .l2_bits = raw.l2_bits,
                .mtime = raw.mtime,
                .encrypted = raw.crypt_method == kAes,
                .file_size = TRY(file.stat()).size};
  TRY(take_l1(raw, header));
  TRY(take_backing(file, raw, header));
  if (header.size != raw.size) {
    header.warnings.push_back(fmt::format(
        "header: a disk of {} bytes is not whole sectors: rounded down", uint64_t{raw.size}));
  }
  return header;
}

}  // namespace platter::qcow
