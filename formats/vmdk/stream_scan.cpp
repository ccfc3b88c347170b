#include "formats/vmdk/stream_scan.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vmdk/grain_codec.h"

namespace platter::vmdk {
namespace {

constexpr size_t kMaxGrains = size_t{1} << 24;
// Sectors that a place in found_ can say.
constexpr unsigned kPlaceBits = 40;
constexpr uint64_t kMaxPlace = uint64_t{1} << kPlaceBits;

// Sectors from this marker, of anything but a grain, to the next; 0: there is none.
uint64_t sectors_of(const RawMarker& marker) {
  switch (static_cast<MarkerType>(uint32_t{marker.type})) {
    case MarkerType::grain_table:
    case MarkerType::grain_directory:
      return marker.start.value < kMaxPlace ? 1 + marker.start.value : 0;
    case MarkerType::footer: return 2;
    case MarkerType::unspecified: return 1;
    case MarkerType::end_of_stream: return 0;
  }
  return 0;
}

}  // namespace

Result<StreamGrains> StreamGrains::scan(const File& file, const GrainLayout& layout) {
  StreamGrains out;
  out.file_size_ = TRY(file.stat()).size;
  const uint64_t grain_sectors = layout.grain / kSector;
  const uint64_t last = std::min(out.file_size_ / kSector, kMaxPlace);
  uint64_t at = layout.first_grain / kSector;
  while (at < last) {
    const auto marker = TRY(file.read_struct<RawMarker>(at * kSector));
    const uint64_t size = marker.start.size;
    if (size == 0) {
      const uint64_t sectors = sectors_of(marker);
      if (sectors == 0) break;
      at += sectors;
      continue;
    }
    const uint64_t first = marker.start.value, grain = first / grain_sectors;
    const uint64_t stored = sizeof(RawGrainMarker) + size;
    const bool behind = out.found_.empty() || grain > out.found_.back().grain;
    if (first % grain_sectors != 0 || grain >= layout.grains() || !behind ||
        stored > GrainCodec::max_stored(layout.grain) ||
        !fits(at * kSector, stored, out.file_size_)) {
      break;
    }
    if (out.found_.size() == kMaxGrains) {
      return Error(
          Errc::unsupported,
          fmt::format("its footer is missing, and it has more than {} grains", size_t{kMaxGrains}));
    }
    const uint64_t sectors = div_up(stored, kSector);
    out.found_.push_back({grain, sectors << kPlaceBits | at});
    at += sectors;
  }
  out.end_ = std::min(at * kSector, out.file_size_);
  return out;
}

StreamGrains::Run StreamGrains::run_at(uint64_t grain, uint64_t limit) const {
  const auto at = std::lower_bound(found_.begin(), found_.end(), grain,
                                   [](const Found& f, uint64_t g) { return f.grain < g; });
  if (at == found_.end()) return {.grains = limit};
  if (at->grain != grain) return {.grains = std::min(limit, at->grain - grain)};
  return {.grains = 1,
          .host = (at->place & (kMaxPlace - 1)) * kSector,
          .stored = (at->place >> kPlaceBits) * kSector};
}

std::string StreamGrains::description() const {
  return fmt::format("{} grains were found, up to byte {} of {}", found_.size(), end_, file_size_);
}

}  // namespace platter::vmdk
