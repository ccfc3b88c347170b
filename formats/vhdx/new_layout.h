// What a new VHDX has beside its blocks.
#pragma once

#include <optional>

#include "formats/vhdx/locator.h"
#include "formats/vhdx/shape.h"
#include "lib/io/file.h"

namespace platter::vhdx {

// As Windows makes them: the log, the metadata, the BAT and the blocks, one behind the other.
struct NewLayout {
  Shape shape;
  bool fixed = false;
  Uuid disk_id;
  std::optional<Locator> locator;
  uint64_t log_size = kUnit;  // bytes

  Range log() const { return {kUnit, log_size}; }
  Range metadata() const { return {log().end(), kUnit}; }
  Range bat() const { return {metadata().end(), align_up(8 * shape.entries(), kUnit)}; }
  uint64_t data_offset() const { return bat().end(); }
};

// Metadata, region tables and headers; not durable before a sync.
Result<void> write_structures(File& file, const NewLayout& layout);
// What makes the file a VHDX.
Result<void> write_identifier(File& file);

}  // namespace platter::vhdx
