#include "formats/dmg/trailer.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/base/xml.h"

namespace platter::dmg {
namespace {

constexpr uint64_t kSearched = 1023;  // bytes at the end of a file, as QEMU does

bool starts_with(Bytes bytes, size_t at, std::string_view text) {
  return at <= bytes.size() && bytes.size() - at >= text.size() &&
         std::memcmp(bytes.data() + at, text.data(), text.size()) == 0;
}

bool is_trailer(Bytes bytes, size_t at) {
  return bytes.size() - at >= sizeof(Trailer) && load<be32>(bytes, at) == kTrailerMagic &&
         load<be32>(bytes, at + offsetof(Trailer, version)) == kTrailerVersion &&
         load<be32>(bytes, at + offsetof(Trailer, header_size)) == sizeof(Trailer);
}

template <class... Args>
Error corrupt(fmt::format_string<Args...> text, Args&&... args) {
  return {Errc::corrupt, "trailer: " + fmt::format(text, std::forward<Args>(args)...)};
}

// end: of what it may lie in.
Result<Range> range_of(std::string_view what, uint64_t offset, uint64_t length, uint64_t end) {
  if (length == 0) return Range{};
  if (fits(offset, length, end)) return Range{offset, length};
  return corrupt("the {} ({} bytes at {}) lies past the end of the file", what, length, offset);
}

Result<Places> places_of(const Trailer& t, uint64_t end) {
  Places p{.data_fork_checksum = t.data_fork_checksum,
           .master_checksum = t.master_checksum,
           .flags = t.flags,
           .variant = t.variant};
  if (t.sectors > kMaxOffset / kSector) return corrupt("a disk of {} sectors", uint64_t{t.sectors});
  if (t.sectors == 0) return corrupt("a disk of 0 sectors");
  p.disk_size = t.sectors * kSector;
  p.data_fork = TRY(range_of("data fork", t.data_fork_offset, t.data_fork_length, end));
  p.xml = TRY(range_of("property list", t.xml_offset, t.xml_length, end));
  p.resource_fork =
      TRY(range_of("resource fork", t.resource_fork_offset, t.resource_fork_length, end));
  if (p.xml.length > kMaxXmlSize || p.resource_fork.length > kMaxXmlSize) {
    return corrupt("tables of more than 16 MiB");
  }
  return p;
}

}  // namespace

std::string_view encryption_of(Bytes head, Bytes tail) {
  constexpr std::string_view kOld = "cdsaencr";
  if (starts_with(head, 0, "encrcdsa")) return "is encrypted (encrcdsa), which is not read";
  if (tail.size() >= kOld.size() && starts_with(tail, tail.size() - kOld.size(), kOld)) {
    return "is encrypted (cdsaencr), which is not read";
  }
  return {};
}

std::optional<uint64_t> find_trailer(Bytes head, Bytes tail, uint64_t size) {
  if (tail.size() >= sizeof(Trailer)) {
    const size_t last = tail.size() - sizeof(Trailer);
    // Where it belongs the magic alone says that it is one, perhaps of another version.
    if (load<be32>(tail, last) == kTrailerMagic) return size - sizeof(Trailer);
    const size_t first = tail.size() - std::min<uint64_t>(tail.size(), kSearched);
    for (size_t at = last; at-- > first;) {
      if (is_trailer(tail, at)) return size - tail.size() + at;
    }
  }
  if (is_trailer(head, 0)) return 0;
  return std::nullopt;
}

Result<Places> parse_trailer(const File& file) {
  const uint64_t size = TRY(file.stat()).size;
  std::array<std::byte, sizeof(Trailer)> head = {};
  std::array<std::byte, KiB> tail = {};
  const size_t head_size = TRY(file.read_available(0, head));
  const size_t tail_size = std::min<uint64_t>(size, tail.size());
  TRY(file.read_exact(size - tail_size, MutableBytes(tail).first(tail_size)));
  const Bytes first = Bytes(head).first(head_size), last = Bytes(tail).first(tail_size);
  if (const auto why = encryption_of(first, last); !why.empty()) {
    return Error(Errc::unsupported, std::string(why));
  }
  const auto at = find_trailer(first, last, size);
  if (!at) return Error(Errc::wrong_format, "has no trailer: no disk image of Apple, or cut short");
  const auto trailer = TRY(file.read_struct<Trailer>(*at));
  if (trailer.version != kTrailerVersion || trailer.header_size != sizeof(Trailer)) {
    return Error(Errc::unsupported,
                 fmt::format("trailer: version {} of {} bytes", uint32_t{trailer.version},
                             uint32_t{trailer.header_size}));
  }
  if (trailer.segments > 1) {
    return Error(Errc::unsupported,
                 fmt::format("trailer: part {} of {}: segmented images are "
                             "not read",
                             uint32_t{trailer.segment}, uint32_t{trailer.segments}));
  }
  return places_of(trailer, *at == 0 ? size : *at);
}

}  // namespace platter::dmg
