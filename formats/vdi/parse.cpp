#include "formats/vdi/parse.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "formats/vdi/map_scan.h"
#include "lib/base/checked.h"

namespace platter::vdi {
namespace {

template <class... Args>
Error corrupt(fmt::format_string<Args...> text, Args&&... args) {
  return {Errc::corrupt, "header: " + fmt::format(text, std::forward<Args>(args)...)};
}

std::string comment_of(const std::array<char, 256>& field) {
  // The last byte counts as the end even where a writer forgot it.
  return {field.begin(), std::find(field.begin(), field.end() - 1, '\0')};
}

// What both headers have.
template <class Header>
void take_common(const Header& header, Parsed& out) {
  out.type = static_cast<Type>(uint32_t{header.type});
  out.flags = header.flags;
  out.comment = comment_of(header.comment);
  out.disk_size = header.disk_size;
  out.block_size = header.block_size;
  out.blocks = header.blocks;
  out.blocks_allocated = header.blocks_allocated;
  out.uuid = Uuid::from_microsoft(header.uuid);
  out.modification_uuid = Uuid::from_microsoft(header.modification_uuid);
  out.parent_uuid = Uuid::from_microsoft(header.parent_uuid);
}

Result<void> take_lchs(const DiskGeometry& lchs, Parsed& out) {
  if (lchs.sector_size != kSectorSize) {
    return corrupt("logical geometry with sectors of {} bytes", uint32_t{lchs.sector_size});
  }
  // Zero cylinders: nobody has set it.
  if (lchs.cylinders != 0) out.lchs = Geometry{lchs.cylinders, lchs.heads, lchs.sectors};
  return {};
}

Result<void> read_header1(const File& file, Parsed& out) {
  const uint32_t size = TRY(file.read_struct<le32>(sizeof(PreHeader)));
  if (size < kMinHeaderSize)
    return corrupt("{} bytes long, at least {} expected", size, kMinHeaderSize);
  Header1 header;
  const auto bytes = std::as_writable_bytes(std::span(&header, 1));
  TRY(file.read_exact(sizeof(PreHeader), bytes.first(std::min(size, kLchsHeaderSize))));
  take_common(header, out);
  out.map_offset = header.map_offset;
  out.data_offset = header.data_offset;
  out.block_extra = header.block_extra;
  out.parent_modification_uuid = Uuid::from_microsoft(header.parent_modification_uuid);
  if (out.map_offset < sizeof(PreHeader) + uint64_t{size}) {
    return corrupt("the block map at {} begins inside the header of {} bytes", out.map_offset,
                   sizeof(PreHeader) + uint64_t{size});
  }
  // Nobody but version 1.1 keeps a geometry here.
  if (size >= kLchsHeaderSize && out.minor >= 1) TRY(take_lchs(header.lchs, out));
  return {};
}

Result<void> read_header0(const File& file, Parsed& out) {
  take_common(TRY(file.read_struct<Header0>(sizeof(PreHeader))), out);
  out.map_offset = sizeof(PreHeader) + sizeof(Header0);
  out.data_offset = out.map_offset + 4 * uint64_t{out.blocks};
  return {};
}

Result<void> check_sizes(const Parsed& h) {
  if (h.type < Type::dynamic || h.type > Type::differencing) {
    return corrupt("image type {}", static_cast<uint32_t>(h.type));
  }
  if (!std::has_single_bit(h.block_size) || h.block_size < kSectorSize ||
      h.block_size > kMaxBlockSize) {
    return corrupt("blocks of {} bytes", h.block_size);
  }
  if (h.block_extra != 0 && !std::has_single_bit(h.block_extra)) {
    return corrupt("{} extra bytes in front of each block", h.block_extra);
  }
  if (h.disk_size == 0) return corrupt("a disk of 0 bytes");
  const uint64_t mapped = uint64_t{h.blocks} * h.block_size;
  if (mapped < h.disk_size) {
    return corrupt("the block map is too small: its {} blocks hold {} bytes, the disk has {}",
                   h.blocks, mapped, h.disk_size);
  }
  if (h.blocks_allocated > h.blocks) {
    return corrupt("{} blocks allocated, but only {} in the disk", h.blocks_allocated, h.blocks);
  }
  return {};
}

Result<void> check_places(const Parsed& h) {
  const uint64_t map_size = 4 * uint64_t{h.blocks};
  if (!fits(h.map_offset, map_size, h.file_size)) {
    return corrupt("the block map at {} ({} bytes) ends past the end of the file at {}",
                   h.map_offset, map_size, h.file_size);
  }
  if (h.data_offset < h.map_offset + map_size) {
    return corrupt("the data at {} begins inside the block map", h.data_offset);
  }
  return {};
}

// The header may count more blocks than the file holds for two reasons. Blocks were cut off: then
// entries point at them. Or power was lost after the count reached the disk and before the blocks
// did: then none does, and nothing is missing. Empty: nothing is missing.
Result<std::optional<std::string>> missing_blocks(const File& file, const Parsed& h) {
  const uint64_t held = h.blocks_in(h.file_size);
  if (h.blocks_allocated <= held) return std::optional<std::string>();
  bool missing = false;
  TRY(for_each_piece(file, h, [&](uint64_t, std::span<le32> piece) -> Result<void> {
    for (const uint32_t entry : piece) missing = missing || (entry < kZero && entry >= held);
    return {};
  }));
  if (!missing) return std::optional<std::string>();
  return std::optional(fmt::format("truncated: the header counts {} blocks, the file holds {}",
                                   h.blocks_allocated, held));
}

void warn(Parsed& h) {
  if (h.uuid.is_nil()) h.warnings.emplace_back("header: the image has no UUID");
  if (h.modification_uuid.is_nil()) {
    h.warnings.emplace_back("header: the image has no modification UUID");
  }
  if ((h.flags & ~kKnownFlags) != 0) {
    h.warnings.push_back(fmt::format("header: unknown flags {:#x}", h.flags & ~kKnownFlags));
  }
}

}  // namespace

uint64_t Parsed::blocks_in(uint64_t size) const {
  const uint64_t first = data_offset + block_extra;
  return size <= first ? 0 : div_up(size - first, stride());
}

Result<Parsed> parse(const File& file, Truncated truncated) {
  Parsed out;
  out.file_size = TRY(file.stat()).size;
  const auto pre = TRY(file.read_struct<PreHeader>(0));
  if (pre.signature != kSignature) return Error(Errc::wrong_format, "header: no VDI signature");
  out.major = pre.version >> 16;
  out.minor = pre.version & 0xffff;
  if (out.major > 1) {
    return Error(Errc::unsupported,
                 fmt::format("header: unsupported VDI version {}.{}", out.major, out.minor));
  }
  TRY(out.major == 0 ? read_header0(file, out) : read_header1(file, out));
  TRY(check_sizes(out));
  TRY(check_places(out));
  if (const auto missing = TRY(missing_blocks(file, out))) {
    if (truncated == Truncated::refused) return Error(Errc::corrupt, *missing);
    out.warnings.push_back(*missing);
  }
  // blocks * block_size covers the rounded size too: both are multiples of 512.
  out.disk_size = align_up(out.disk_size, kSectorSize);
  warn(out);
  return out;
}

}  // namespace platter::vdi
