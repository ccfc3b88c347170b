#include "formats/vhd/describe.h"

#include <ctime>

#include <fmt/format.h>

#include "formats/vhd/geometry.h"
#include "formats/vhd/parent.h"

namespace platter::vhd {
namespace {

std::string_view variant_of(Type type) {
  switch (type) {
    case Type::fixed: return "fixed";
    case Type::dynamic: return "dynamic";
    case Type::differencing: return "differencing";
  }
  return "dynamic";
}

std::string time_text(uint32_t since_2000) {
  const std::time_t when = kEpoch + since_2000;
  std::tm utc{};
  gmtime_r(&when, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

// Four letters, padded with blanks or NULs.
std::string word_of(const std::array<char, 4>& letters) {
  std::string word(letters.begin(), letters.end());
  word.erase(word.find_last_not_of(std::string_view(" \0", 2)) + 1);
  return word;
}

// Why the size is what it is.
std::string size_rule(const Footer& footer) {
  if (size_is_geometrys(footer)) return "geometry, as its creator does";
  if (is_largest(footer.geometry)) return "current size, for the geometry is the largest";
  return "current size";
}

std::string_view footer_state(const Parsed& p) {
  if (!p.footer_sound) return "wrong checksum";
  if (!p.trailing) return p.data_end == p.file_size ? "missing at the end" : "damaged at the end";
  return p.copy_fits ? "sound" : "differs from its copy";
}

void add_sizes(const Parsed& p, ImageInfo& info) {
  const uint32_t version = p.footer.creator_version;
  info.details = {{"creator", word_of(p.footer.creator)},
                  {"creator_version", fmt::format("{}.{}", version >> 16, version & 0xffff)},
                  {"creator_os", word_of(p.footer.creator_os)},
                  {"created", time_text(p.footer.created)},
                  {"original_size", uint64_t{p.footer.original_size}},
                  {"current_size", uint64_t{p.footer.current_size}},
                  {"geometry_size", bytes_of(p.footer.geometry)},
                  {"size_from", size_rule(p.footer)},
                  {"saved_state", p.footer.saved_state != 0},
                  {"footer", std::string(footer_state(p))}};
}

void add_table(const Parsed& p, std::optional<uint64_t> allocated, ImageInfo& info) {
  auto& details = info.details;
  details.emplace_back("header", std::string(p.header_sound ? "sound" : "wrong checksum"));
  details.emplace_back("table_offset", p.table_offset);
  details.emplace_back("blocks", p.blocks());
  if (allocated) details.emplace_back("blocks_allocated", *allocated);
}

void add_parent(const Parsed& p, ImageInfo& info) {
  info.parent = parent_of(p);
  info.details.emplace_back("parent_name", p.parent_name);
  if (const uint32_t changed = p.header.parent_changed; changed != 0) {
    info.details.emplace_back("parent_changed", time_text(changed));
  }
  size_t number = 1;
  for (const Locator& locator : p.locators) {
    info.details.emplace_back(fmt::format("parent_locator_{}", number++),
                              locator.code + " " + locator.text);
  }
}

}  // namespace

ImageInfo describe(const Parsed& p, std::optional<uint64_t> allocated) {
  ImageInfo info{.format = "vhd",
                 .variant = std::string(variant_of(p.type)),
                 .block_size = p.block_size,
                 .warnings = p.warnings};
  if (!p.uuid.is_nil()) info.uuid = p.uuid;
  const DiskGeometry& g = p.footer.geometry;
  if (g.cylinders != 0) info.pchs = Geometry{g.cylinders, g.heads, g.sectors};
  info.corrupt = !p.footer_sound || !p.header_sound;
  add_sizes(p, info);
  if (p.type != Type::fixed) add_table(p, allocated, info);
  if (p.type == Type::differencing) add_parent(p, info);
  return info;
}

}  // namespace platter::vhd
