// Every step leaves the same disk, no more than leaks, and a footer at the end of the file: the
// table lets go of a block before another one is copied there, and a block is in its new place
// before the table says so.
#include "formats/vhd/compact.h"

#include "formats/vhd/changes.h"
#include "formats/vhd/footer.h"
#include "formats/vhd/mend.h"
#include "formats/vhd/moves.h"
#include "formats/vhd/sectors.h"
#include "lib/image/compaction.h"
#include "lib/io/zero_runs.h"

namespace platter::vhd {
namespace {

class Compacting {
 public:
  Compacting(File& file, const Parsed& parsed, Compaction& compaction)
      : file_(file), parsed_(parsed), compaction_(compaction), bitmap_(parsed.bitmap_size()) {}

  Result<void> run(const TableScan& scan) {
    TRY(compaction_.go_on());
    TRY(mend_footers(file_, parsed_));
    TRY(let_go_of_empty(scan));
    TRY(file_.sync());
    // Where the footer stands by now.
    const Parsed now = TRY(parse(file_));
    const TableScan left = TRY(scan_table(file_, now));
    TRY(compaction_.in_steps(
        moves_into_gaps(left, parsed_.stride()), parsed_.stride(),
        [this](std::span<const Move> some) { return move_blocks(file_, parsed_, some); }));
    return cut();
  }

 private:
  // Whether whoever looks at the disk sees the same without the block.
  Result<bool> is_empty(const BlockAt& block) {
    if (parsed_.type == Type::dynamic) {
      return reads_as_zeroes(file_, {block.offset() + parsed_.bitmap_size(), parsed_.block_size});
    }
    TRY(file_.read_exact(block.offset(), bitmap_));
    const uint64_t sectors = parsed_.block_size / kSector;
    const SectorRun first = run_of(bitmap_, 0, 0, sectors);
    return !first.set && first.count == sectors;
  }

  Result<void> let_go_of_empty(const TableScan& scan) {
    for (const BlockAt& block : scan.blocks) {
      TRY(compaction_.looked_at(parsed_.stride()));
      // What lies behind the disk is kept: to other programs the disk may be larger.
      if (block.entry >= parsed_.blocks() || !TRY(is_empty(block))) continue;
      TRY(free_entries(file_, parsed_, block.entry, block.entry + uint64_t{1}));
    }
    return {};
  }

  Result<void> cut() {
    const Parsed now = TRY(parse(file_));
    const TableScan left = TRY(scan_table(file_, now));
    if (left.end < now.data_end) TRY(cut_behind(file_, now.footer, left.end));
    return file_.sync();
  }

  File& file_;
  const Parsed& parsed_;
  Compaction& compaction_;
  std::vector<std::byte> bitmap_;  // of the block that is looked at
};

}  // namespace

Result<void> compact(File& file, Progress& progress) {
  const Parsed parsed = TRY(parse(file));
  TRY(Changes::check_supported(parsed));
  const TableScan scan = TRY(scan_table(file, parsed));
  TRY(scan.expect_sound());
  Compaction compaction(progress, scan.blocks.size() * parsed.stride());
  return Compacting(file, parsed, compaction).run(scan);
}

}  // namespace platter::vhd
