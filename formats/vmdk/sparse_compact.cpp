// Every step leaves the same disk, and no more than leaks: tables let go of a grain before another
// one is copied there, and a grain is in its new place before they say so. Between two syncs a
// crash may leave the one of two tables that was written first: the mark of a writer says so.
#include "formats/vmdk/sparse_compact.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vmdk/grain_moves.h"
#include "formats/vmdk/grain_repair.h"
#include "formats/vmdk/table_moves.h"
#include "lib/image/compaction.h"
#include "lib/io/zero_runs.h"

namespace platter::vmdk {
namespace {

class Compacting {
 public:
  Compacting(File& file, SparseHeader header, bool child, Compaction& compaction)
      : file_(file),
        header_(std::move(header)),
        child_(child),
        compaction_(compaction),
        marked_(header_.layout.unclean) {}

  Result<void> run(const GrainScan& scan) {
    Result<void> done = shorten(scan);
    // Who cancels is asked between changes, when two tables are the same.
    if (!done && (done.error().code() != Errc::cancelled || !file_.sync())) return done;
    if (marked_) TRY(clear_unclean(file_));
    TRY(file_.sync());
    return done;
  }

 private:
  Result<void> shorten(const GrainScan& scan) {
    TRY(give_up_zeroes(scan));
    TRY(file_.sync());
    TRY(give_up_tables());
    TRY(bring_directories_forward());
    TRY(bring_tables_forward());
    TRY(bring_grains_forward());
    return cut_behind_grains(file_, header_);
  }

  // Before the first change of tables.
  Result<void> mark() {
    if (marked_) return {};
    TRY(mark_unclean(file_));
    marked_ = true;
    return {};
  }

  Result<GrainScan> look() const { return scan_grains(file_, header_); }

  Result<void> give_up_zeroes(const GrainScan& scan) {
    return for_each_table(file_, header_, scan.places,
                          [this](const TablePair& pair, std::span<const le32> table,
                                 std::span<const le32> /*redundant*/) -> Result<void> {
                            std::vector<le32> entries(table.begin(), table.end());
                            if (!TRY(drop_zeroes(entries))) return {};
                            TRY(mark());
                            const Bytes bytes = std::as_bytes(std::span(entries));
                            if (pair.redundant != 0) TRY(file_.write(pair.redundant, bytes));
                            return file_.write(pair.table, bytes);
                          });
  }

  // Whether an entry has changed.
  Result<bool> drop_zeroes(std::vector<le32>& entries) {
    const GrainLayout& layout = header_.layout;
    bool changed = false;
    for (le32& entry : entries) {
      if (layout.kind_of(entry) != GrainLayout::Entry::grain) continue;
      TRY(compaction_.looked_at(layout.grain));
      const Range host{entry * kSector, layout.grain};
      if (!TRY(reads_as_zeroes(file_, host))) continue;
      if (child_ && !layout.zeroed_grains) {
        TRY(make_hole(host));
        continue;
      }
      entry = layout.zeroed_grains ? kZeroedGrain : kNoGrain;
      changed = true;
    }
    return changed;
  }

  // That space is not given back to the host is no error.
  Result<void> make_hole(const Range& host) {
    const File::Run run = TRY(file_.run_at(host.offset));
    if (run.data || !run.range.contains(host)) (void)file_.make_zero(host, File::Zero::free_space);
    return {};
  }

  Result<void> give_up_tables() {
    const GrainScan scan = TRY(look());
    const std::vector<TablePair> empty = TRY(empty_tables(file_, header_, scan));
    if (empty.empty()) return {};
    TRY(mark());
    return drop_tables(file_, header_, empty);
  }

  Result<void> bring_directories_forward() {
    const auto move = moves_of_directories(header_, TRY(look()));
    if (!move) return {};
    TRY(mark());
    TRY(move_directories(file_, header_, *move));
    header_ = TRY(parse_sparse_header(file_));
    return {};
  }

  Result<void> bring_tables_forward() {
    const std::vector<TableMove> moves = moves_of_tables(header_, TRY(look()));
    if (moves.empty()) return {};
    TRY(mark());
    return move_tables(file_, header_, moves);
  }

  Result<void> bring_grains_forward() {
    GrainScan scan = TRY(look());
    const std::vector<GrainMove> moves = TRY(moves_into_gaps(file_, header_, scan));
    if (!moves.empty()) TRY(mark());
    const uint64_t grain = header_.layout.grain;
    return compaction_.in_steps(moves, grain, [&](std::span<const GrainMove> some) {
      return move_grains(file_, grain, some);
    });
  }

  File& file_;
  SparseHeader header_;
  const bool child_;
  Compaction& compaction_;
  bool marked_;
};

}  // namespace

Result<void> compact_sparse(File& file, bool child, Progress& progress) {
  TRY(Compaction(progress, 0).go_on());
  const SparseHeader header = TRY(parse_sparse_header(file));
  const GrainScan scan = TRY(sound_scan(file, header));
  if (scan.unaligned != 0) {
    return Error(Errc::unsupported,
                 fmt::format("{} grains are not aligned to their size: they stay where they are",
                             scan.unaligned));
  }
  const auto used = static_cast<uint64_t>(std::count(scan.used.begin(), scan.used.end(), true));
  Compaction compaction(progress, used * header.layout.grain);
  return Compacting(file, header, child, compaction).run(scan);
}

}  // namespace platter::vmdk
