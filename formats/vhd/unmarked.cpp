#include "formats/vhd/unmarked.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vhd/fill.h"
#include "formats/vhd/sectors.h"
#include "lib/io/zero_runs.h"

namespace platter::vhd {
namespace {

class Blocks {
 public:
  Blocks(const File& file, const Parsed& parsed)
      : file_(file), parsed_(parsed), bitmap_(parsed.bitmap_size()) {}

  // Whether a sector without its bit holds data.
  Result<bool> has_unmarked(const BlockAt& block) { return !TRY(unmarked_in(block)).empty(); }

  // The sectors without a bit, in runs of which each holds some data; bytes of the file.
  Result<std::vector<Range>> unmarked_in(const BlockAt& block) {
    std::vector<Range> runs;
    const uint64_t data = block.offset() + parsed_.bitmap_size();
    if (data >= parsed_.data_end) return runs;
    TRY(file_.read_exact(block.offset(), bitmap_));
    const uint64_t sectors =
        std::min<uint64_t>(parsed_.block_size, parsed_.data_end - data) / kSector;
    for (uint64_t at = 0; at < sectors;) {
      const SectorRun run = run_of(bitmap_, 0, at, sectors);
      const Range host{data + at * kSector, run.count * kSector};
      if (!run.set && !TRY(reads_as_zeroes(file_, host))) runs.push_back(host);
      at += run.count;
    }
    return runs;
  }

 private:
  const File& file_;
  const Parsed& parsed_;
  std::vector<std::byte> bitmap_;
};

}  // namespace

Result<void> find_unmarked(const File& file, const Parsed& parsed, const TableScan& scan,
                           CheckReport& report) {
  if (parsed.type != Type::dynamic) return {};
  Blocks blocks(file, parsed);
  for (const BlockAt& block : scan.blocks) {
    if (!TRY(blocks.has_unmarked(block))) continue;
    report.leak(fmt::format(
        "block {}: has data in sectors that its bitmap does not count: programs differ about them",
        block.entry));
  }
  return {};
}

Result<void> mark_all(File& file, const Parsed& parsed, const TableScan& scan) {
  if (parsed.type != Type::dynamic) return {};
  Blocks blocks(file, parsed);
  for (const BlockAt& block : scan.blocks) {
    if (!TRY(blocks.has_unmarked(block))) continue;
    TRY(fill_range(file, {block.offset(), parsed.bitmap_size()}, std::byte{0xff}));
  }
  return {};
}

Result<void> zero_unmarked(File& file, const Parsed& parsed, const TableScan& scan) {
  Blocks blocks(file, parsed);
  for (const BlockAt& block : scan.blocks) {
    for (const Range& host : TRY(blocks.unmarked_in(block))) {
      if (TRY(file.make_zero(host, File::Zero::free_space))) continue;
      TRY(fill_range(file, host, std::byte{0}));
    }
  }
  return {};
}

}  // namespace platter::vhd
