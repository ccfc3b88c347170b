#include "formats/vhdx/parse.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vhdx/replayed_file.h"
#include "lib/base/checked.h"

namespace platter::vhdx {
namespace {

Result<std::vector<Range>> taken_by_structures(const Headers& headers, const Regions& regions) {
  std::vector<Range> taken = regions.unknown;
  taken.push_back(regions.bat);
  taken.push_back(regions.metadata);
  const Range log = headers.current.log_space;
  for (const Range& region : taken) {
    if (intersect(region, log).empty()) continue;
    return Error(Errc::corrupt,
                 fmt::format("region table: the region at {} overlaps the log", region.offset));
  }
  if (!log.empty()) taken.push_back(log);
  std::sort(taken.begin(), taken.end(),
            [](const Range& a, const Range& b) { return a.offset < b.offset; });
  return taken;
}

Result<void> check_bat(const Parsed& p) {
  const uint64_t needed = 8 * p.shape().entries();
  if (needed > p.regions.bat.length) {
    return Error(Errc::corrupt, fmt::format("BAT: too small: {} bytes, the disk needs {}",
                                            p.regions.bat.length, needed));
  }
  if (!fits(p.regions.bat.offset, needed, p.file_size)) {
    return Error(Errc::corrupt, "truncated: the BAT ends past the end of the file");
  }
  return {};
}

void take_warnings(Parsed& p) {
  for (size_t i = 0; i < 2; ++i) {
    if (!p.headers.good[i]) p.warnings.push_back(fmt::format("header {}: is damaged", i + 1));
    if (!p.regions.faults[i].empty()) {
      p.warnings.push_back(fmt::format("copy {} of the {}", i + 1, p.regions.faults[i]));
    }
  }
  p.warnings.insert(p.warnings.end(), p.items.warnings.begin(), p.items.warnings.end());
}

}  // namespace

// The only range that can reach into host begins in front of its end, as the last one to do so.
bool Parsed::is_taken(const Range& host) const {
  if (host.offset < kUnit) return true;
  const auto behind =
      std::lower_bound(taken.begin(), taken.end(), host.end(),
                       [](const Range& range, uint64_t end) { return range.offset < end; });
  return behind != taken.begin() && (behind - 1)->end() > host.offset;
}

Result<std::string> read_creator(const File& file) {
  FileIdentifier identifier;
  identifier.signature = {};
  TRY(file.read_padded(kIdentifierAt, std::as_writable_bytes(std::span(&identifier, 1))));
  if (identifier.signature != FileIdentifier().signature) {
    return Error(Errc::wrong_format, "file identifier: no VHDX signature");
  }
  std::string creator;
  for (const uint16_t unit : identifier.creator) {
    if (unit == 0) break;
    // It is for people only, and in ASCII wherever it was seen.
    creator += unit >= 0x20 && unit < 0x7f ? static_cast<char>(unit) : '?';
  }
  return creator;
}

Result<Parsed> parse(const File& file, const Headers& headers) {
  Parsed p{.headers = headers};
  p.creator = TRY(read_creator(file));
  p.file_size = TRY(file.stat()).size;
  p.regions = TRY(read_regions(file));
  p.taken = TRY(taken_by_structures(headers, p.regions));
  p.items = TRY(read_items(file, p.regions.metadata));
  TRY(check_bat(p));
  take_warnings(p);
  return p;
}

Result<Parsed> parse_for_change(File& file) {
  TRY(read_creator(file));
  Headers headers = TRY(read_headers(file));
  if (!headers.current.log.is_nil()) {
    const LogReplay replay = TRY(read_log(file, headers.current));
    TRY(replay_on_disk(file, headers, replay));
  }
  return parse(file, headers);
}

}  // namespace platter::vhdx
