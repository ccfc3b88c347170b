#include "formats/vhdx/describe.h"

#include <fmt/format.h>

#include "lib/base/text.h"

namespace platter::vhdx {
namespace {

std::string_view variant_of(const Items& items) {
  if (items.shape.has_parent) return "differencing";
  return items.fixed ? "fixed" : "dynamic";
}

std::vector<Detail> details_of(const Parsed& p) {
  const Header& header = p.headers.current;
  const Shape& shape = p.shape();
  std::vector<Detail> details = {
      {"creator", p.creator},
      {"logical_sector", shape.sector_size},
      {"physical_sector", p.items.physical_sector},
      {"blocks", shape.blocks()},
      {"chunk_ratio", shape.chunk_ratio()},
      {"sequence_number", header.sequence},
      {"file_write_guid", header.file_write.to_string()},
      {"log_offset", header.log_space.offset},
      {"log_size", header.log_space.length},
      {"bat_offset", p.regions.bat.offset},
      {"bat_size", p.regions.bat.length},
      {"metadata_offset", p.regions.metadata.offset},
      {"metadata_size", p.regions.metadata.length},
  };
  if (!header.log.is_nil()) details.emplace_back("log_guid", header.log.to_string());
  if (!p.items.locator) return details;
  for (const auto& [key, value] : *p.items.locator)
    details.emplace_back("parent." + printable(key), value);
  return details;
}

}  // namespace

ImageInfo describe(const Parsed& p) {
  ImageInfo info{.format = "vhdx",
                 .variant = std::string(variant_of(p.items)),
                 .block_size = p.shape().block_size,
                 .uuid = p.items.disk_id,
                 .modification_uuid = p.headers.current.data_write,
                 .dirty = !p.headers.current.log.is_nil(),
                 .corrupt = !p.log_fault.empty(),
                 .details = details_of(p),
                 .warnings = p.warnings};
  if (p.items.locator) info.parent = link_of(*p.items.locator);
  return info;
}

}  // namespace platter::vhdx
