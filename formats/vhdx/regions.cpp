#include "formats/vhdx/regions.h"

#include <algorithm>

#include <fmt/format.h>

#include "lib/base/crc32c.h"

namespace platter::vhdx {
namespace {

template <class... Args>
Error bad_table(fmt::format_string<Args...> text, Args&&... args) {
  return {Errc::corrupt, "region table: " + fmt::format(text, std::forward<Args>(args)...)};
}

void set_table_checksum(std::vector<std::byte>& table) {
  store(table, offsetof(RegionTableHeader, checksum), le32(0));
  store(table, offsetof(RegionTableHeader, checksum), le32(crc32c(table)));
}

RegionEntry region_entry(Bytes table, size_t i) {
  return load<RegionEntry>(table, sizeof(RegionTableHeader) + i * sizeof(RegionEntry));
}

Result<Range> place_of_region(const RegionEntry& entry) {
  const Range place{entry.offset, entry.length};
  if (place.offset % kUnit != 0 || place.length % kUnit != 0 || place.length == 0 ||
      place.offset < kUnit || place.offset > kMaxOffset - place.length) {
    return bad_table("a region of {} bytes at {}", place.length, place.offset);
  }
  return place;
}

Result<void> check_overlaps(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.offset < b.offset; });
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].offset < ranges[i - 1].end()) {
      return bad_table("the regions at {} and {} overlap", ranges[i - 1].offset, ranges[i].offset);
    }
  }
  return {};
}

Result<Regions> parse_table(std::vector<std::byte> table) {
  const auto header = load<RegionTableHeader>(table);
  std::vector<std::byte> summed = table;
  store(summed, offsetof(RegionTableHeader, checksum), le32(0));
  if (header.signature != kRegionSignature) return bad_table("no signature");
  if (header.checksum != crc32c(summed)) return bad_table("its checksum is wrong");
  if (header.count > kMaxRegions) {
    return bad_table("{} entries, at most {} are possible", uint32_t{header.count}, kMaxRegions);
  }
  Regions regions;
  std::vector<Range> all;
  std::vector<DiskGuid> seen;
  for (size_t i = 0; i < header.count; ++i) {
    const RegionEntry entry = region_entry(table, i);
    const Range place = TRY(place_of_region(entry));
    if (std::find(seen.begin(), seen.end(), entry.guid) != seen.end()) {
      return bad_table("the region {} is there twice",
                       Uuid::from_microsoft(entry.guid).to_string());
    }
    seen.push_back(entry.guid);
    all.push_back(place);
    if (entry.guid == guid::kBat) {
      regions.bat = place;
    } else if (entry.guid == guid::kMetadata) {
      regions.metadata = place;
    } else if ((entry.required & 1) == 0) {
      regions.unknown.push_back(place);
    } else {
      return Error(Errc::unsupported, fmt::format("region table: an unknown region is required: {}",
                                                  Uuid::from_microsoft(entry.guid).to_string()));
    }
  }
  if (regions.bat.empty()) return bad_table("no BAT");
  if (regions.metadata.empty()) return bad_table("no metadata region");
  TRY(check_overlaps(std::move(all)));
  regions.table = std::move(table);
  return regions;
}

}  // namespace

Result<Regions> read_regions(const File& file) {
  std::array<std::vector<std::byte>, 2> copies;
  std::array<std::string, 2> faults;
  std::optional<Regions> found;
  for (size_t i = 0; i < copies.size(); ++i) {
    copies[i].resize(kRegionTableSize);
    TRY(file.read_padded(kRegionTablesAt[i], copies[i]));
    Result<Regions> regions = parse_table(copies[i]);
    if (!regions && regions.error().code() == Errc::unsupported && !found) {
      return std::move(regions.error());
    }
    if (!regions) faults[i] = regions.error().message();
    if (regions && !found) found = *std::move(regions);
  }
  if (!found) return Error(Errc::corrupt, faults[0]);
  found->copies_differ = copies[0] != copies[1];
  found->faults = std::move(faults);
  return *std::move(found);
}

std::vector<std::byte> moved_region(std::vector<std::byte> table, const DiskGuid& guid,
                                    const Range& place) {
  const uint32_t count = load<RegionTableHeader>(table).count;
  for (size_t i = 0; i < count; ++i) {
    RegionEntry entry = region_entry(table, i);
    if (entry.guid != guid) continue;
    entry.offset = place.offset;
    entry.length = static_cast<uint32_t>(place.length);
    store(table, sizeof(RegionTableHeader) + i * sizeof entry, entry);
  }
  set_table_checksum(table);
  return table;
}

std::vector<std::byte> new_region_table(const Range& bat, const Range& metadata) {
  std::vector<std::byte> table(kRegionTableSize);
  RegionTableHeader header;
  header.signature = kRegionSignature;
  header.count = 2;
  store(table, 0, header);
  const std::pair<DiskGuid, Range> regions[] = {{guid::kBat, bat}, {guid::kMetadata, metadata}};
  for (size_t i = 0; i < std::size(regions); ++i) {
    RegionEntry entry{.guid = regions[i].first};
    entry.offset = regions[i].second.offset;
    entry.length = static_cast<uint32_t>(regions[i].second.length);
    entry.required = 1;
    store(table, sizeof header + i * sizeof entry, entry);
  }
  set_table_checksum(table);
  return table;
}

}  // namespace platter::vhdx
