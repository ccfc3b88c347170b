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
  const auto cut = TRY(for_each_bitmap(file, header, [&](const BitmapEntry& entry) -> Result<bool> {
    flags.emplace_back(entry.offset + offsetof(RawBitmapEntry, flags), entry.raw.flags);
    return true;
  }));
  if (cut) return Error(Errc::corrupt, "bitmap directory: ends inside an entry");
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

// Errc::corrupt: nothing can be said of it.
Result<BitmapInfo> describe(const File& file, const BitmapEntry& entry) {
  const RawBitmapEntry& raw = entry.raw;
  if (raw.name_size == 0 || raw.name_size > kMaxBitmapName) {
    return Error(Errc::corrupt, fmt::format("a name of {} bytes", uint32_t{raw.name_size}));
  }
  if (raw.granularity_bits > 63) {
    return Error(Errc::corrupt, fmt::format("a granularity of 2^{}", raw.granularity_bits));
  }
  BitmapInfo info{.name = std::string(raw.name_size, '\0'),
                  .granularity = uint64_t{1} << raw.granularity_bits,
                  .flags = names_of_flags(raw.flags)};
  TRY(file.read_exact(entry.offset + sizeof raw + raw.extra_data_size,
                      std::as_writable_bytes(std::span(info.name))));
  return info;
}

}  // namespace

Result<std::optional<uint32_t>> for_each_bitmap(const File& file, const Header& header,
                                                const VisitBitmap& visit) {
  using Cut = std::optional<uint32_t>;
  const Table& directory = header.bitmap_directory;
  const uint64_t size = directory.entries * sizeof(be64);
  if (size == 0) return Cut{};
  uint64_t at = 0;
  for (uint32_t i = 0; i < header.bitmaps; ++i) {
    if (!fits(at, sizeof(RawBitmapEntry), size)) return Cut{i};
    const BitmapEntry entry{.index = i,
                            .offset = directory.offset + at,
                            .raw = TRY(file.read_struct<RawBitmapEntry>(directory.offset + at))};
    const uint64_t length =
        sizeof entry.raw + uint64_t{entry.raw.extra_data_size} + entry.raw.name_size;
    if (!fits(at, length, size)) return Cut{i};
    if (!TRY(visit(entry))) break;
    at = align_up(at + length, 8);
  }
  return Cut{};
}

Result<BitmapList> list_bitmaps(const File& file, const Header& header) {
  BitmapList found;
  const auto visit = [&](const BitmapEntry& entry) -> Result<bool> {
    Result<BitmapInfo> info = describe(file, entry);
    if (info) {
      found.list.push_back(*std::move(info));
      return true;
    }
    if (info.error().code() != Errc::corrupt) return std::move(info.error());
    found.fault = fmt::format("bitmap {}: {}", entry.index, info.error().message());
    return false;
  };
  const auto cut = TRY(for_each_bitmap(file, header, visit));
  if (cut) found.fault = fmt::format("bitmap {}: past the end of the directory", *cut);
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
