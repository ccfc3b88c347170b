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

struct Extension {
  ExtensionType type{};
  std::vector<std::byte> bytes;  // with its head and its padding
};
struct OldStart {
  std::vector<Extension> extensions;  // those that stay
  uint64_t end = 0;                   // of those it has
  Range name;                         // of the backing file; empty: none
};

// The header was parsed: extensions are inside their area, and the area inside the file.
Result<OldStart> read_start(const File& file, const Header& header, uint32_t version) {
  const auto old = TRY(file.read_struct<RawHeader>(0));
  OldStart start;
  if (old.backing_file_offset != 0) start.name = {old.backing_file_offset, old.backing_file_size};
  const uint64_t limit = start.name.empty() ? header.cluster_size() : start.name.offset;
  uint64_t at = header.header_length;
  while (fits(at, sizeof(RawExtension), std::min(limit, header.file_size))) {
    const auto head = TRY(file.read_struct<RawExtension>(at));
    const uint64_t length = std::min(align_up(sizeof head + uint64_t{head.length}, 8), limit - at);
    if (head.type == static_cast<uint32_t>(ExtensionType::end)) {
      at += sizeof head;
      break;
    }
    if (stays(head, version)) {
      Extension extension{static_cast<ExtensionType>(uint32_t{head.type})};
      extension.bytes.resize(align_up(length, 8));
      TRY(file.read_padded(at, MutableBytes(extension.bytes).first(length)));
      start.extensions.push_back(std::move(extension));
    }
    at += length;
  }
  start.end = at;
  return start;
}

// In the place of the old one, so that what comes behind it need not move.
void set_backing_format(std::vector<Extension>& extensions, const std::string& format) {
  Extension fresh{ExtensionType::backing_format};
  append(fresh.bytes, as_bytes_of(RawExtension{static_cast<uint32_t>(fresh.type),
                                               static_cast<uint32_t>(format.size())}));
  append(fresh.bytes, std::as_bytes(std::span(format)));
  fresh.bytes.resize(align_up(fresh.bytes.size(), 8));
  const auto old = std::ranges::find(extensions, fresh.type, &Extension::type);
  if (old == extensions.end()) {
    if (!format.empty()) extensions.insert(extensions.begin(), std::move(fresh));
  } else if (format.empty()) {
    extensions.erase(old);
  } else {
    old->bytes = std::move(fresh.bytes);
  }
}

// header: its fields. What goes into the file from its start on.
std::vector<std::byte> compose(Bytes header, const std::vector<Extension>& extensions) {
  std::vector<std::byte> out(header.begin(), header.end());
  for (const Extension& extension : extensions) append(out, extension.bytes);
  append(out, as_bytes_of(RawExtension{}));
  return out;
}

// Of what is written one sector changes.
Result<bool> changes_one_sector(const File& file, Bytes start) {
  if (start.size() <= kSector) return true;
  std::vector<std::byte> there(start.size() - kSector);
  TRY(file.read_padded(kSector, there));
  return std::ranges::equal(there, start.subspan(kSector));
}

// Behind the first sector, where the old header has nothing: it has to stay whole until the new one
// is in its place.
std::optional<uint64_t> free_place(const Header& header, const OldStart& old, uint64_t used,
                                   uint64_t length) {
  const uint64_t behind_extensions = align_up(std::max({old.end, used, kSector}), 8);
  const uint64_t behind_name = align_up(std::max(old.name.end(), kSector), 8);
  for (const uint64_t at : {std::max(behind_extensions, behind_name), behind_extensions}) {
    const bool is_free = intersect({at, length}, old.name).empty();
    if (is_free && fits(at, length, header.cluster_size())) return at;
  }
  return std::nullopt;
}

// Where a name of so many bytes goes. used: bytes of the new start in front of it; moves:
// it is another one than the old header has.
std::optional<uint64_t> place_of_name(const Header& header, const OldStart& old, uint64_t length,
                                      uint64_t used, bool moves) {
  if (used + length <= kSector) return used;
  if (!moves && old.name.offset >= kSector) return old.name.offset;
  return free_place(header, old, used, length);
}

Error no_room(std::string_view what) {
  return {Errc::unsupported,
          "header: no room for " + std::string(what) + " where a crash could not tear it"};
}

}  // namespace

Result<void> replace_header(File& file, const Header& header, const RawHeader& raw,
                            const Backing* backing) {
  OldStart old = TRY(read_start(file, header, raw.version));
  std::vector<std::byte> name(old.name.length);
  if (backing == nullptr) {
    TRY(file.read_exact(old.name.offset, name));
  } else {
    set_backing_format(old.extensions, backing->format);
    const Bytes text = std::as_bytes(std::span(backing->name));
    name.assign(text.begin(), text.end());
  }
  // A later version may have more fields.
  std::vector<std::byte> fields(raw.version == 2 ? kHeaderV2Size : uint64_t{raw.header_length});
  TRY(file.read_padded(0, fields));
  RawHeader now = raw;
  if (!TRY(changes_one_sector(file, compose(fields, old.extensions)))) {
    // Which names features have only people want to know.
    std::erase_if(old.extensions,
                  [](const Extension& e) { return e.type == ExtensionType::feature_names; });
  }
  if (name.empty()) {
    now.backing_file_offset = 0;
    now.backing_file_size = 0;
  }
  const uint64_t used = compose(fields, old.extensions).size();
  if (!TRY(changes_one_sector(file, compose(fields, old.extensions)))) {
    return no_room("its extensions");
  }
  if (!name.empty()) {
    const auto at = place_of_name(header, old, name.size(), used, backing != nullptr);
    if (!at) return no_room("the backing file's name");
    now.backing_file_offset = *at;
    now.backing_file_size = static_cast<uint32_t>(name.size());
    if (*at >= kSector && *at != old.name.offset) {
      TRY(file.write(*at, name));
      TRY(file.sync());
    }
  }
  const Bytes known = as_bytes_of(now).first(std::min(fields.size(), sizeof now));
  std::copy(known.begin(), known.end(), fields.begin());
  std::vector<std::byte> sector = compose(fields, old.extensions);
  if (now.backing_file_offset != 0 && now.backing_file_offset < kSector) append(sector, name);
  sector.resize(kSector);
  TRY(file.write(0, sector));
  return file.sync();
}

}  // namespace platter::qcow2
