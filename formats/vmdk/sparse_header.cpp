#include "formats/vmdk/sparse_header.h"

#include <bit>

#include <fmt/format.h>

namespace platter::vmdk {
namespace {

constexpr uint64_t kMinGrain = 8, kMaxGrain = 0x200000;  // sectors
constexpr uint64_t kMaxTableEntries = 65536;
// A compressed grain is decoded as a whole.
constexpr uint64_t kMaxCompressedGrain = 65536;  // sectors
constexpr uint64_t kMaxDirectory = 512 * MiB;
constexpr uint64_t kMaxDescriptor = 2048;  // sectors
constexpr uint64_t kMaxVersion = 3;

// The footer, the marker in front of it and the end of the stream behind it.
constexpr uint64_t kFooterBytes = 3 * kSector;

template <class... Args>
Error corrupt(fmt::format_string<Args...> text, Args&&... args) {
  return {Errc::corrupt, "sparse header: " + fmt::format(text, std::forward<Args>(args)...)};
}

// Sectors to bytes, inside the file.
Result<uint64_t> place(std::string_view what, uint64_t sector, uint64_t bytes, uint64_t file_size) {
  const auto at = checked_mul(sector, kSector);
  if (at && fits(*at, bytes, file_size)) return *at;
  return corrupt("the {} at sector {} ({} bytes) ends past the end of the file at {}", what, sector,
                 bytes, file_size);
}

Result<void> check_magic(const RawSparseHeader& raw) {
  if (raw.magic != kSparseMagic) {
    return Error(Errc::wrong_format, "sparse header: no signature of a VMDK");
  }
  if (raw.version == 0 || raw.version > kMaxVersion) {
    return Error(Errc::unsupported,
                 fmt::format("sparse header: unsupported version {}", uint32_t{raw.version}));
  }
  return {};
}

Result<void> take_grains(const RawSparseHeader& raw, GrainLayout& out) {
  const uint64_t grain = raw.grain_size, entries = raw.entries_per_table;
  if (!std::has_single_bit(grain) || grain < kMinGrain || grain > kMaxGrain) {
    return corrupt("grains of {} sectors", grain);
  }
  if (!std::has_single_bit(entries) || entries > kMaxTableEntries) {
    return corrupt("grain tables of {} entries", entries);
  }
  const auto capacity = checked_mul(raw.capacity, kSector);
  if (!capacity || *capacity == 0 || *capacity > kMaxOffset) {
    return corrupt("a capacity of {} sectors", uint64_t{raw.capacity});
  }
  out.capacity = *capacity;
  out.grain = grain * kSector;
  out.table_entries = entries;
  out.entries = div_up(out.capacity, out.span());
  if (out.entries * sizeof(le32) > kMaxDirectory) {
    return corrupt("the grain directory is too large: it would have {} entries", out.entries);
  }
  return {};
}

Result<void> take_compression(const RawSparseHeader& raw, GrainLayout& out) {
  out.compressed = (raw.flags & kFlagCompressed) != 0;
  out.markers = (raw.flags & kFlagMarkers) != 0;
  if (!out.compressed) {
    if (raw.compression == 0) return {};
    return corrupt("compression {}, but no compressed grains", uint16_t{raw.compression});
  }
  if (raw.compression != kDeflate) {
    return Error(Errc::unsupported, fmt::format("sparse header: unsupported compression {}",
                                                uint16_t{raw.compression}));
  }
  if (out.grain > kMaxCompressedGrain * kSector) {
    return Error(Errc::unsupported,
                 fmt::format("sparse header: compressed grains of {} bytes", out.grain));
  }
  return {};
}

Result<void> take_descriptor(const RawSparseHeader& raw, SparseHeader& out) {
  if (raw.descriptor_offset == 0 || raw.descriptor_size == 0) return {};
  if (raw.descriptor_size > kMaxDescriptor) {
    return corrupt("a descriptor of {} sectors", uint64_t{raw.descriptor_size});
  }
  const uint64_t bytes = raw.descriptor_size * kSector;
  out.descriptor = {TRY(place("descriptor", raw.descriptor_offset, bytes, out.file_size)), bytes};
  return {};
}

// A repair would write it over what is there.
Result<uint64_t> directory_place(std::string_view what, uint64_t sector, const SparseHeader& out) {
  const uint64_t bytes = out.layout.entries * sizeof(le32);
  const uint64_t at = TRY(place(what, sector, bytes, out.file_size));
  if (at == 0) return corrupt("no {}", what);
  if (intersect({at, bytes}, out.descriptor.value_or(Range{})).empty()) return at;
  return corrupt("the {} at sector {} lies over the descriptor", what, sector);
}

Result<void> take_directories(const RawSparseHeader& raw, SparseHeader& out) {
  GrainLayout& layout = out.layout;
  if ((raw.flags & kFlagRedundant) != 0 && raw.rgd_offset != 0) {
    const auto redundant = directory_place("redundant grain directory", raw.rgd_offset, out);
    if (redundant) layout.redundant = *redundant;
    if (!redundant) out.warnings.push_back(redundant.error().message());
  }
  const Result<uint64_t> directory = directory_place("grain directory", raw.gd_offset, out);
  if (directory) {
    layout.directory = *directory;
    if (!intersect(layout.redundant_range(), layout.directory_range()).empty()) {
      out.warnings.emplace_back("sparse header: the two grain directories lie over one another");
      layout.redundant = 0;
    }
    return {};
  }
  if (layout.redundant == 0) return directory.error();
  out.warnings.push_back(directory.error().message() + ": the redundant one is used");
  layout.directory = layout.redundant;
  layout.redundant = 0;
  return {};
}

// Empty: there is none.
Result<std::optional<RawSparseHeader>> read_footer(const File& file, uint64_t file_size) {
  if (file_size < kSector + kFooterBytes) return std::optional<RawSparseHeader>();
  // Some writers fill the file up behind the end of the stream.
  const uint64_t at = align_down(file_size, kSector) - kFooterBytes;
  const auto marker = TRY(file.read_struct<RawMarker>(at));
  if (marker.start.size != 0 || marker.type != static_cast<uint32_t>(MarkerType::footer)) {
    return std::optional<RawSparseHeader>();
  }
  const auto footer = TRY(file.read_struct<RawSparseHeader>(at + kSector));
  if (!check_magic(footer) || footer.gd_offset == kDirectoryInFooter) {
    return std::optional<RawSparseHeader>();
  }
  return std::optional(footer);
}

void warn(const RawSparseHeader& raw, SparseHeader& out) {
  if ((raw.flags & ~kKnownFlags) != 0) {
    out.warnings.push_back(
        fmt::format("sparse header: unknown flags {:#x}", raw.flags & ~kKnownFlags));
  }
}

}  // namespace

Result<SparseHeader> parse_sparse_header(const File& file) {
  SparseHeader out;
  out.file_size = TRY(file.stat()).size;
  auto raw = TRY(file.read_struct<RawSparseHeader>(0));
  TRY(check_magic(raw));
  if ((raw.flags & kFlagNewlines) != 0 && raw.newlines != kNewlines) {
    return corrupt("line ends were converted: the file was transferred as a text");
  }
  // Where the descriptor is only the header says: a footer may have been made before it.
  TRY(take_descriptor(raw, out));
  if (raw.gd_offset == kDirectoryInFooter) {
    const auto footer = TRY(read_footer(file, out.file_size));
    out.footer_missing = !footer;
    if (footer) raw = *footer;
  }
  out.magic = raw.magic;
  out.version = raw.version;
  out.flags = raw.flags;
  out.layout.zeroed_grains = (raw.flags & kFlagZeroed) != 0;
  out.layout.unclean = raw.unclean[0] != std::byte{0};
  TRY(take_grains(raw, out.layout));
  TRY(take_compression(raw, out.layout));
  if (out.footer_missing && !(out.layout.compressed && out.layout.markers)) {
    return corrupt("its footer is missing");
  }
  if (!out.footer_missing) TRY(take_directories(raw, out));
  const uint64_t overhead = TRY(place("end of the metadata", raw.overhead, 0, out.file_size));
  out.layout.first_grain = std::max(overhead, kSector);
  warn(raw, out);
  return out;
}

Result<SparseHeader> parse_cowd_header(const File& file) {
  SparseHeader out;
  out.file_size = TRY(file.stat()).size;
  if (TRY(file.read_struct<le32>(0)) != kCowdMagic) {
    return Error(Errc::wrong_format, "sparse header: no signature of an ESX extent");
  }
  const auto raw = TRY(file.read_struct<RawCowdHeader>(0));
  if (raw.version != 1) {
    return Error(Errc::unsupported,
                 fmt::format("sparse header: unsupported COWD version {}", uint32_t{raw.version}));
  }
  GrainLayout& layout = out.layout;
  if (!std::has_single_bit(uint32_t{raw.grain_size}) || raw.grain_size > kMaxGrain) {
    return corrupt("grains of {} sectors", uint32_t{raw.grain_size});
  }
  if (raw.sectors == 0) return corrupt("a capacity of 0 sectors");
  layout.capacity = raw.sectors * kSector;
  layout.grain = raw.grain_size * kSector;
  layout.table_entries = kCowdTableEntries;
  layout.entries = div_up(layout.capacity, layout.span());
  if (raw.gd_entries < layout.entries) {
    return corrupt("a grain directory of {} entries, {} are needed", uint32_t{raw.gd_entries},
                   layout.entries);
  }
  layout.directory =
      TRY(place("grain directory", raw.gd_offset, layout.entries * sizeof(le32), out.file_size));
  if (layout.directory < sizeof raw) return corrupt("the grain directory lies over the header");
  layout.first_grain = sizeof raw;
  layout.unclean = raw.unclean != 0;
  out.magic = raw.magic;
  out.version = raw.version;
  out.flags = raw.flags;
  return out;
}

}  // namespace platter::vmdk
