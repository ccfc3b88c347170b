// The chunks that hold anything, in the order of the disk: map() finds the one of an offset by
// halving. Between them everything is zeroes. A chunk may begin anywhere in the file, and several
// may share their bytes there.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "formats/dmg/check.h"
#include "formats/dmg/dmg_image.h"
#include "lib/image/adc_codec.h"
#include "lib/image/bzip2_codec.h"
#include "lib/image/inflate.h"
#include "lib/image/lzfse_codec.h"
#include "lib/image/xz_codec.h"

namespace platter::dmg {
namespace {

constexpr size_t kMaxNames = 64;  // of parts, shown

// What hdiutil calls an image whose chunks are mostly of this type.
std::string_view variant_name(uint32_t type) {
  switch (type) {
    case kAdc: return "UDCO";
    case kZlib: return "UDZO";
    case kBzip2: return "UDBZ";
    case kLzfse: return "ULFO";
    case kXz: return "ULMO";
    default: return "UDRO";
  }
}

std::string names_of(const std::vector<PartInfo>& parts) {
  std::string names;
  for (size_t i = 0; i < std::min(parts.size(), kMaxNames); ++i) {
    if (i != 0) names += ", ";
    names += parts[i].name.empty() ? "?" : parts[i].name;
  }
  if (parts.size() > kMaxNames) names += fmt::format(" and {} more", parts.size() - kMaxNames);
  return names;
}

ImageInfo describe(const Parsed& parsed) {
  ImageInfo info{.format = "dmg"};
  std::map<uint32_t, uint64_t> counts;
  std::map<uint32_t, uint64_t> lengths;  // of those that are compressed
  uint64_t unknown = 0;
  for (const Chunk& chunk : parsed.chunks) {
    if (chunk.is_known()) {
      ++counts[chunk.type];
    } else {
      ++unknown;
    }
    if (codec_of(chunk.type) != nullptr) lengths[chunk.type] += chunk.length;
  }
  const auto most = std::ranges::max_element(lengths, {}, [](const auto& l) { return l.second; });
  info.variant = variant_name(most == lengths.end() ? kRaw : most->first);
  info.details = {{"parts", uint64_t{parsed.parts.size()}},
                  {"part_names", names_of(parsed.parts)},
                  {"chunks", parsed.chunk_count}};
  for (const auto& [type, count] : counts) {
    info.details.emplace_back(type_name(type) + "_chunks", count);
  }
  info.details.emplace_back("checksums", parsed.has_checksums);
  if (unknown != 0) {
    info.warnings.push_back(
        fmt::format("tables: {} chunks of types that are not known: they "
                    "cannot be read",
                    unknown));
  }
  return info;
}

}  // namespace

const Codec* codec_of(uint32_t type) {
  switch (type) {
    case kAdc: return &adc_codec();
    case kZlib: return &zlib_codec();
    case kBzip2: return &bzip2_codec();
    case kLzfse: return &lzfse_codec();
    case kXz: return &xz_codec();
    default: return nullptr;
  }
}

DmgImage::DmgImage(FilePtr file, Parsed parsed)
    : file_(std::move(file)), parsed_(std::move(parsed)), info_(describe(parsed_)) {}

Result<Extent> DmgImage::map(const Range& want, SnapshotId /*snapshot*/) const {
  const auto next = std::ranges::upper_bound(parsed_.chunks, want.offset, {}, &Chunk::start);
  if (next != parsed_.chunks.begin()) {
    const Chunk& chunk = *std::prev(next);
    if (want.offset < chunk.end()) return part_of(chunk, want);
  }
  const uint64_t end = next == parsed_.chunks.end() ? parsed_.places.disk_size : next->start;
  return Extent{.guest = {want.offset, end - want.offset}, .kind = Extent::Kind::zero};
}

Result<Extent> DmgImage::part_of(const Chunk& chunk, const Range& want) const {
  const Range unit{chunk.start, chunk.length};
  if (chunk.type == kRaw) {
    const Range data{chunk.start, chunk.stored};
    if (data.contains(want.offset)) {
      return Extent{
          .guest = data, .kind = Extent::Kind::data, .file = file_.get(), .host = chunk.host};
    }
    // What the file does not have of it is zeroes.
    return Extent{.guest = {data.end(), unit.end() - data.end()}, .kind = Extent::Kind::zero};
  }
  const Codec* const codec = codec_of(chunk.type);
  if (codec == nullptr) {
    return Error(Errc::unsupported,
                 fmt::format("the chunk at sector {} is of {}, which is not known",
                             chunk.start / kSector, type_name(chunk.type)));
  }
  return Extent{.guest = intersect(unit, want),
                .kind = Extent::Kind::encoded,
                .file = file_.get(),
                .host = chunk.host,
                .codec = codec,
                .stored = static_cast<uint32_t>(chunk.stored),
                .unit = unit};
}

Result<void> DmgImage::check(Repair repair, CheckReport& report) {
  if (repair != Repair::none) return Error(Errc::read_only, "dmg images are only read");
  return check_image(*file_, parsed_.places, report);
}

}  // namespace platter::dmg
