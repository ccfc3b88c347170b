#include "formats/qcow2/bitmaps.h"

#include <array>

#include <fmt/format.h>

#include "formats/qcow2/header_fields.h"
#include "lib/base/checked.h"
#include "lib/base/log.h"

namespace platter::qcow2 {
namespace {

// The offsets of the flags of all entries.
Result<std::vector<std::pair<uint64_t, uint32_t>>> find_flags(const File& file,
                                                              const Header& header) {
  std::vector<std::pair<uint64_t, uint32_t>> flags;
  const uint64_t end = header.bitmap_directory.offset + header.bitmap_directory.entries * 8;
  uint64_t at = header.bitmap_directory.offset;
  for (uint32_t i = 0; i < header.bitmaps; ++i) {
    if (at > end || end - at < sizeof(RawBitmapEntry)) {
      return Error(Errc::corrupt, "bitmap directory: ends inside an entry");
    }
    const auto entry = TRY(file.read_struct<RawBitmapEntry>(at));
    flags.emplace_back(at + offsetof(RawBitmapEntry, flags), entry.flags);
    const uint64_t length = sizeof entry + uint64_t{entry.extra_data_size} + entry.name_size;
    at += align_up(length, 8);
  }
  return flags;
}

// Specification, "Bitmap directory": flags, as qemu-img names them.
std::vector<std::string> names_of_flags(uint32_t flags) {
  static constexpr std::array<std::string_view, 3> kNames = {"in-use", "auto",
                                                             "extra-data-compatible"};
  std::vector<std::string> names;
  for (unsigned bit = 0; bit < 32; ++bit) {
    if ((flags >> bit & 1) == 0) continue;
    names.push_back(bit < kNames.size() ? std::string(kNames[bit]) : fmt::format("bit {}", bit));
  }
  return names;
}

// Past the end of the file: Errc::corrupt.
Result<BitmapInfo> read_entry(const File& file, const Range& left, uint64_t& length) {
  const Error cut(Errc::corrupt, "past the end of the directory");
  if (left.length < sizeof(RawBitmapEntry)) return cut;
  const auto raw = TRY(file.read_struct<RawBitmapEntry>(left.offset));
  const uint64_t behind = uint64_t{raw.extra_data_size} + raw.name_size;
  if (behind > left.length - sizeof raw) return cut;
  if (raw.name_size == 0 || raw.name_size > kMaxBitmapName) {
    return Error(Errc::corrupt, fmt::format("a name of {} bytes", uint32_t{raw.name_size}));
  }
  if (raw.granularity_bits > 63) {
    return Error(Errc::corrupt, fmt::format("a granularity of 2^{}", raw.granularity_bits));
  }
  BitmapInfo info{.name = std::string(raw.name_size, '\0'),
                  .granularity = uint64_t{1} << raw.granularity_bits,
                  .flags = names_of_flags(raw.flags)};
  TRY(file.read_exact(left.offset + sizeof raw + raw.extra_data_size,
                      std::as_writable_bytes(std::span(info.name))));
  length = std::min(left.length, align_up(sizeof raw + behind, 8));
  return info;
}

}  // namespace

Result<BitmapList> list_bitmaps(const File& file, const Header& header) {
  BitmapList found;
  if (header.bitmap_directory.entries == 0) return found;
  Range left{header.bitmap_directory.offset, header.bitmap_directory.entries * sizeof(be64)};
  for (uint32_t i = 0; i < header.bitmaps; ++i) {
    uint64_t length = 0;
    Result<BitmapInfo> info = read_entry(file, left, length);
    if (!info) {
      if (info.error().code() != Errc::corrupt) return std::move(info.error());
      found.fault = fmt::format("bitmap {}: {}", i, info.error().message());
      break;
    }
    found.list.push_back(*std::move(info));
    left = {left.offset + length, left.length - length};
  }
  return found;
}

Result<void> invalidate_bitmaps(File& file, const Header& header) {
  if (header.autoclear == 0) return {};
  uint64_t keep = header.autoclear & kRawDataFile;
  if (header.bitmaps != 0) {
    const auto flags = find_flags(file, header);
    if (flags) {
      keep |= kBitmapsValid;
      for (const auto& [at, value] : *flags) {
        const be32 in_use(value | kBitmapInUse);
        TRY(file.write(at, as_bytes_of(in_use)));
      }
    } else {
      log::warning("{}: the bitmaps are given up", flags.error().message());
    }
  }
  return keep == header.autoclear ? Result<void>() : write_autoclear(file, keep);
}

}  // namespace platter::qcow2
