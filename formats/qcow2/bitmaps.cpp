#include "formats/qcow2/bitmaps.h"

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

}  // namespace

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
