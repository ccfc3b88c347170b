#include "formats/qcow2/header_replace.h"

#include <algorithm>
#include <optional>

#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

bool stays(const RawExtension& extension, uint32_t version) {
  const auto type = static_cast<ExtensionType>(uint32_t{extension.type});
  if (version >= 3) return true;
  // Bitmaps that are valid keep an image from being of version 2; these are not.
  return type != ExtensionType::feature_names && type != ExtensionType::bitmaps;
}

struct OldStart {
  std::vector<std::byte> extensions;  // those that stay, as they stand in the file
  uint64_t end = 0;                   // of everything the old header has in its cluster
};

// The header was parsed: extensions are inside their area, and the area inside the file.
Result<OldStart> read_start(const File& file, const Header& header, const RawHeader& old,
                            uint32_t version) {
  OldStart start;
  const uint64_t limit =
      old.backing_file_offset != 0 ? uint64_t{old.backing_file_offset} : header.cluster_size();
  uint64_t at = header.header_length;
  while (fits(at, sizeof(RawExtension), std::min(limit, header.file_size))) {
    const auto head = TRY(file.read_struct<RawExtension>(at));
    const uint64_t length = std::min(align_up(sizeof head + uint64_t{head.length}, 8), limit - at);
    if (head.type == static_cast<uint32_t>(ExtensionType::end)) {
      at += sizeof head;
      break;
    }
    if (stays(head, version)) {
      const size_t size = start.extensions.size();
      start.extensions.resize(size + align_up(length, 8));
      TRY(file.read_padded(at, MutableBytes(start.extensions).subspan(size, length)));
    }
    at += length;
  }
  start.end = at;
  if (old.backing_file_offset != 0) {
    start.end = std::max<uint64_t>(at, old.backing_file_offset + old.backing_file_size);
  }
  return start;
}

// Where a name of the old header goes. used: bytes of the new first sector in front of it.
std::optional<uint64_t> place_of_name(const Header& header, const Range& old, uint64_t used,
                                      uint64_t old_end) {
  if (used + old.length <= kSector) return used;
  if (old.offset >= kSector) return old.offset;
  const uint64_t behind = align_up(std::max(old_end, kSector), 8);
  if (fits(behind, old.length, header.cluster_size())) return behind;
  return std::nullopt;
}

Error no_room(std::string_view what) {
  return {Errc::unsupported,
          "header: no room for " + std::string(what) + " where a crash could not tear it"};
}

}  // namespace

Result<void> replace_header(File& file, const Header& header, const RawHeader& raw) {
  const auto old = TRY(file.read_struct<RawHeader>(0));
  const OldStart start = TRY(read_start(file, header, old, raw.version));
  RawHeader now = raw;
  const uint64_t length = raw.version == 2 ? kHeaderV2Size : uint64_t{raw.header_length};
  const uint64_t used = length + start.extensions.size() + sizeof(RawExtension);
  if (used > kSector) return no_room("its extensions");
  std::vector<std::byte> name(old.backing_file_offset != 0 ? uint32_t{old.backing_file_size} : 0);
  if (old.backing_file_offset != 0) {
    const Range place{old.backing_file_offset, name.size()};
    const auto at = place_of_name(header, place, used, start.end);
    if (!at) return no_room("the backing file's name");
    TRY(file.read_exact(place.offset, name));
    now.backing_file_offset = *at;
    if (*at >= kSector && *at != place.offset) {
      TRY(file.write(*at, name));
      TRY(file.sync());
    }
  }
  std::vector<std::byte> sector;
  append(sector, as_bytes_of(now).first(length));
  append(sector, start.extensions);
  append(sector, as_bytes_of(RawExtension{}));
  if (now.backing_file_offset != 0 && now.backing_file_offset < kSector) append(sector, name);
  sector.resize(kSector);
  TRY(file.write(0, sector));
  return file.sync();
}

}  // namespace platter::qcow2
