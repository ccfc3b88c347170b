#include "lib/partition/partition.h"

#include <algorithm>

#include "lib/partition/apm.h"
#include "lib/partition/bsd_label.h"
#include "lib/partition/gpt.h"
#include "lib/partition/mbr.h"

namespace platter {

std::string_view to_string(PartitionTable::Scheme scheme) {
  switch (scheme) {
    case PartitionTable::Scheme::none: return "none";
    case PartitionTable::Scheme::mbr: return "mbr";
    case PartitionTable::Scheme::gpt: return "gpt";
    case PartitionTable::Scheme::apm: return "apm";
    case PartitionTable::Scheme::bsd: return "bsd";
  }
  return "none";
}

namespace {

// Of a disk without an MBR.
Result<PartitionTable> read_others(const View& view) {
  if (auto apple = TRY(read_apm(view))) return *std::move(apple);
  if (auto bsd = TRY(read_bsd_label(view))) return *std::move(bsd);
  return PartitionTable{};
}

}  // namespace

Result<PartitionTable> read_partitions(const View& view) {
  BootRecord sector;
  if (view.size() < sizeof sector) return PartitionTable{};
  TRY(view.read(0, std::as_writable_bytes(std::span(&sector, 1))));
  if (!is_partition_table(sector, view.size())) return read_others(view);
  // An MBR that announces a GPT is only there for programs that know none: what else it lists are
  // copies of some of the GPT's entries, or nothing.
  const bool announced = std::any_of(sector.entries.begin(), sector.entries.end(),
                                     [](const MbrEntry& e) { return e.protects_gpt(); });
  return announced ? read_gpt(view) : read_mbr(view, sector);
}

}  // namespace platter
