// What lies last in the file goes to the first free clusters, until none is free in front of it:
// first guest data and bitmaps, then L2 tables, the other tables, the tables those are named in,
// refcount blocks. Of one kind at a time, since a table must not move while an entry of it changes.
// What a stream goes through, and a table of several clusters, moves as a whole, where there are so
// many in a row; else, and when it is longer than 4 GiB, it stays. Blocks that count nothing behind
// the last cluster are let go of.
//
// Some thousand clusters at a time: their new places get the refcounts of the old ones, and their
// contents; sync; every pointer to an old place becomes one to the new, in place and one after the
// other; sync; the old ones are free. In between some pointers to a cluster of snapshots lead to
// the old place and some to the new, which hold the same, and the refcount of both is that of all.
// So COPIED flags are right at any moment: they say whether it is 1. A crash leaks one of the two.
#include "formats/qcow2/compact.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "formats/qcow2/check.h"
#include "formats/qcow2/free_runs.h"
#include "formats/qcow2/last_units.h"
#include "formats/qcow2/pointers.h"
#include "formats/qcow2/repair.h"
#include "formats/qcow2/repair_header.h"
#include "lib/base/checked.h"
#include "lib/base/zeroes.h"

namespace platter::qcow2 {
namespace {

constexpr uint64_t kMostClusters = uint64_t{128} * 1024;  // moved together
constexpr uint64_t kMostBytes = 4 * GiB;                  // likewise
constexpr uint64_t kCopyBytes = 1 * MiB;                  // read at once
constexpr uint64_t kPointersPerQuestion = 4096;           // whether it is still wanted

// A cluster and its new place.
struct Move {
  uint64_t from = 0, to = 0;
  uint64_t count = 0;  // its refcount
  bool is_disk = false;
};

// The image as it is now, which changes with every step.
struct Now {
  CheckedImage image;
  StoredRefcounts stored;
  FreeRuns free;

  const Header& header() const { return image.header; }
};

class Compactor {
 public:
  Compactor(File& file, const DataCipher& cipher, Progress& progress)
      : file_(file), cipher_(cipher), progress_(progress) {}

  Result<void> run();

 private:
  using Moves = std::vector<Move>;

  Result<void> mend_leaks();
  Result<void> expect_key(const Header& header) const;
  Result<void> expect_tables_alone();
  Result<Now> look();
  Result<void> begin(const Header& header);
  Result<bool> move_some(Placed what);
  Result<std::vector<Unit>> last_units(const Now& now, Placed what);
  static uint64_t most_of(const Now& now) {
    return std::min(kMostClusters, kMostBytes >> now.header().cluster_bits);
  }
  static Moves places_for(const std::vector<Unit>& units, Now& now);
  Result<void> carry_out(Now& now, Placed what, Moves& moves);
  Result<void> set_counts(StoredRefcounts& stored, const Moves& moves) const;
  Result<void> copy(const Header& header, const Moves& moves);
  Result<void> copy_run(const Header& header, const Move& first, uint64_t count);
  Result<void> repoint(const Now& now, Placed what, const Moves& moves);
  Result<bool> drop_empty_blocks();
  Result<void> finish();
  Result<void> expect_wanted() const {
    if (!progress_.cancelled()) return {};
    return Error(Errc::cancelled, "interrupted");
  }
  void advance(uint64_t bytes);

  File& file_;
  const DataCipher& cipher_;
  Progress& progress_;
  bool begun_ = false;
  std::optional<uint64_t> total_;  // bytes that lie behind where the file might end
  uint64_t moved_ = 0;             // bytes
};

// Asks whether it is wanted when all is known that might be in the way.
Result<void> Compactor::mend_leaks() {
  const CheckedImage image = TRY(load_for_check(file_));
  CheckReport report;
  Findings found(report);
  TRY(scan_image(file_, image, found));
  const uint64_t counts = found.count(Fault::leak) + found.count(Fault::copied);
  if (found.faults() == counts) TRY(expect_wanted());
  return repair_image(file_, found, Repair::leaks, report);
}

// What is known by its place in the file is encrypted for another one.
Result<void> Compactor::expect_key(const Header& header) const {
  if (cipher_.cipher == nullptr || cipher_.by_guest || header.external_data) return {};
  std::array<std::byte, Cipher::kSector> sector{};
  return cipher_.cipher->decrypt(0, sector);
}

// Tables are changed where they are: that must change nothing else.
Result<void> Compactor::expect_tables_alone() {
  const CheckedImage image = TRY(load_for_check(file_));
  const Header& header = image.header;
  auto stored = TRY(StoredRefcounts::load(file_, header, nullptr));
  const auto expect = [&](const Range& place, uint64_t uses) -> Result<void> {
    const uint64_t last = (place.end() - 1) >> header.cluster_bits;
    for (uint64_t cluster = place.offset >> header.cluster_bits; cluster <= last; ++cluster) {
      if (TRY(stored.get(cluster)) == uses) continue;
      return Error(Errc::corrupt, fmt::format("a table shares the cluster at {:#x}",
                                              cluster << header.cluster_bits));
    }
    return {};
  };
  TRY(expect({0, header.cluster_size()}, 1));
  for (const Placed what : {Placed::table, Placed::directory}) {
    const auto alone = [&](PointerTo& pointer) {
      return pointer.place.empty() ? Result<void>() : expect(pointer.place, 1);
    };
    TRY(for_each_pointer(file_, image, what, alone));
  }
  TableWalk walk(file_, header, image.snapshots.list);
  const auto alone = [&](const L2Use& use, L2Entries&) {
    return expect({use.offset, header.cluster_size()}, use.uses);
  };
  return walk.for_each_l2(alone);
}

// What is behind the last cluster in use goes: nothing that is durable points there.
Result<Now> Compactor::look() {
  CheckedImage image = TRY(load_for_check(file_));
  auto stored = TRY(StoredRefcounts::load(file_, image.header, nullptr));
  const uint64_t clusters = div_up(image.header.file_size, image.header.cluster_size());
  FreeRuns free = TRY(FreeRuns::find(stored, clusters));
  const uint64_t end = free.end() << image.header.cluster_bits;
  if (end < image.header.file_size) {
    TRY(begin(image.header));
    TRY(file_.resize(end));
    image.header.file_size = end;
  }
  if (!total_) {
    total_ = free.count_below(free.used()) << image.header.cluster_bits;
    progress_.advance(0, *total_);
  }
  return Now{std::move(image), std::move(stored), std::move(free)};
}

// Features that others keep in the image do not know of what changes from here on.
Result<void> Compactor::begin(const Header& header) {
  if (std::exchange(begun_, true) || header.version < 3) return {};
  return clear_autoclear(file_, ~kKnownAutoclear);
}

Result<std::vector<Unit>> Compactor::last_units(const Now& now, Placed what) {
  const uint32_t bits = now.header().cluster_bits;
  const uint64_t most = std::min(most_of(now), now.free.count_below(now.free.end()));
  LastUnits last(now.free.runs().front().first, most);
  uint64_t seen = 0;
  const auto add = [&](PointerTo& pointer) -> Result<void> {
    if (pointer.place.empty()) return {};
    last.add({pointer.place.offset >> bits, (pointer.place.end() - 1) >> bits, pointer.is_disk});
    return ++seen % kPointersPerQuestion == 0 ? expect_wanted() : Result<void>();
  };
  TRY(for_each_pointer(file_, now.image, what, add));
  return last.take();
}

// The long ones choose first: the others fit anywhere. Those keep their order.
Compactor::Moves Compactor::places_for(const std::vector<Unit>& units, Now& now) {
  Moves moves;
  const uint64_t most = most_of(now);
  for (const Unit& unit : units) {
    if (unit.count() == 1 || unit.count() > most - moves.size()) continue;
    const auto to = now.free.take(unit.count(), unit.first);
    if (!to) continue;
    for (uint64_t i = 0; i < unit.count(); ++i) {
      moves.push_back({.from = unit.first + i, .to = *to + i, .is_disk = unit.is_disk});
    }
  }
  const size_t long_ones = moves.size();
  for (const Unit& unit : units) {
    if (unit.count() > 1) continue;
    const auto to = moves.size() < most ? now.free.take(1, unit.first) : std::nullopt;
    if (!to) break;
    moves.push_back({.from = unit.first, .to = *to, .is_disk = unit.is_disk});
  }
  // The last one chose first.
  for (size_t i = long_ones, j = moves.size(); i + 1 < j; ++i) {
    std::swap(moves[i].to, moves[--j].to);
  }
  std::ranges::sort(moves, {}, &Move::from);
  return moves;
}

Result<bool> Compactor::move_some(Placed what) {
  TRY(expect_wanted());
  Now now = TRY(look());
  if (now.free.empty()) return false;
  const std::vector<Unit> units = TRY(last_units(now, what));
  Moves moves = places_for(units, now);
  if (moves.empty()) return false;
  TRY(begin(now.header()));
  TRY(carry_out(now, what, moves));
  return true;
}

Result<void> Compactor::set_counts(StoredRefcounts& stored, const Moves& moves) const {
  for (const Move& move : moves) TRY(stored.set(move.to, move.count));
  return stored.write_back();
}

Result<void> Compactor::carry_out(Now& now, Placed what, Moves& moves) {
  for (Move& move : moves) move.count = TRY(now.stored.get(move.from));
  Moves by_place = moves;
  std::ranges::sort(by_place, {}, &Move::to);
  TRY(set_counts(now.stored, by_place));
  if (const auto copied = copy(now.header(), moves); !copied) {
    if (copied.error().code() != Errc::cancelled) return Error(copied.error());
    // Nothing points there.
    for (Move& move : by_place) move.count = 0;
    TRY(set_counts(now.stored, by_place));
    return Error(copied.error());
  }
  TRY(file_.sync());
  TRY(repoint(now, what, moves));
  TRY(file_.sync());
  const Header header = TRY(parse_header(file_));
  auto stored = TRY(StoredRefcounts::load(file_, header, nullptr));
  for (const Move& move : moves) TRY(stored.set(move.from, 0));
  return stored.write_back();
}

Result<void> Compactor::copy(const Header& header, const Moves& moves) {
  const uint64_t at_once = std::max<uint64_t>(kCopyBytes >> header.cluster_bits, 1);
  for (size_t i = 0; i < moves.size();) {
    TRY(expect_wanted());
    const Move& first = moves[i];
    uint64_t count = 1;
    while (count < at_once && i + count < moves.size() &&
           moves[i + count].from == first.from + count && moves[i + count].to == first.to + count &&
           moves[i + count].is_disk == first.is_disk) {
      ++count;
    }
    TRY(copy_run(header, first, count));
    i += count;
    advance(count << header.cluster_bits);
  }
  return {};
}

Result<void> Compactor::copy_run(const Header& header, const Move& first, uint64_t count) {
  const uint64_t from = first.from << header.cluster_bits, to = first.to << header.cluster_bits;
  std::vector<std::byte> bytes(count << header.cluster_bits);
  TRY(file_.read_padded(from, bytes));
  if (first.is_disk && cipher_.cipher != nullptr && !cipher_.by_guest) {
    TRY(cipher_.cipher->decrypt(from, bytes));
    TRY(cipher_.cipher->encrypt(to, bytes));
  } else if (all_zero(bytes) && TRY(file_.make_zero({to, bytes.size()}, File::Zero::free_space))) {
    return {};
  }
  return file_.write(to, bytes);
}

Result<void> Compactor::repoint(const Now& now, Placed what, const Moves& moves) {
  const uint32_t bits = now.header().cluster_bits;
  uint64_t left = 0;
  for (const Move& move : moves) left += move.count;
  const auto redirect = [&](PointerTo& pointer) -> Result<void> {
    if (pointer.place.empty()) return {};
    const uint64_t cluster = pointer.place.offset >> bits;
    if (cluster < moves.front().from) return {};
    const auto found = std::ranges::lower_bound(moves, cluster, {}, &Move::from);
    if (found == moves.end() || found->from != cluster) return {};
    pointer.down = (found->from - found->to) << bits;
    left -= pointer.uses * (((pointer.place.end() - 1) >> bits) - cluster + 1);
    return {};
  };
  TRY(for_each_pointer(file_, now.image, what, redirect));
  if (left == 0) return {};
  return Error(Errc::corrupt, "refcounts: what points at the clusters that move is not all there");
}

// Those behind the last cluster in use count themselves at most.
Result<bool> Compactor::drop_empty_blocks() {
  Now now = TRY(look());
  const std::vector<uint64_t>& blocks = now.stored.blocks();
  const uint32_t bits = now.header().cluster_bits;
  const uint64_t per_block = now.stored.per_block();
  std::vector<uint64_t> dropped;
  uint64_t first = blocks.size();
  for (; first > 1; --first) {
    const uint64_t block = blocks[first - 1];
    if (block == 0) continue;
    const uint64_t base = (first - 1) * per_block;
    uint64_t others = 0;
    for (uint64_t i = base; i < base + per_block && others == 0; ++i) {
      if (i != block >> bits) others = TRY(now.stored.get(i));
    }
    if (others != 0) break;
    dropped.push_back(block >> bits);
  }
  if (dropped.empty()) return false;
  TRY(begin(now.header()));
  const std::vector<be64> none(blocks.size() - first);
  TRY(file_.write(now.header().refcount_table.offset + first * sizeof(be64),
                  std::as_bytes(std::span(none))));
  // The table names them no more before their places are another's.
  TRY(file_.sync());
  auto stored = TRY(StoredRefcounts::load(file_, now.header(), nullptr));
  for (const uint64_t cluster : dropped) {
    if (stored.has_block_for(cluster)) TRY(stored.set(cluster, 0));
  }
  TRY(stored.write_back());
  return true;
}

void Compactor::advance(uint64_t bytes) {
  moved_ += bytes;
  progress_.advance(std::min(moved_, *total_), *total_);
}

// The host need not keep what is free in front of what could not move.
Result<void> Compactor::finish() {
  const Now now = TRY(look());
  for (const FreeRuns::Run& run : now.free.runs()) {
    const Range range{run.first << now.header().cluster_bits,
                      run.count << now.header().cluster_bits};
    if (TRY(file_.run_at(range.offset)).data) {
      (void)file_.make_zero(range, File::Zero::free_space);
    }
  }
  TRY(file_.sync());
  progress_.advance(*total_, *total_);
  return {};
}

Result<void> Compactor::run() {
  const Header header = TRY(parse_header(file_));
  TRY(expect_key(header));
  TRY(mend_leaks());
  TRY(expect_tables_alone());
  for (bool moved = true; moved;) {
    moved = false;
    for (const Placed what : {Placed::data, Placed::l2_table, Placed::table, Placed::directory}) {
      while (TRY(move_some(what))) moved = true;
    }
    moved = TRY(drop_empty_blocks()) || moved;
    while (TRY(move_some(Placed::refcount_block))) moved = true;
  }
  return finish();
}

}  // namespace

Result<void> compact_image(File& file, const DataCipher& cipher, Progress& progress) {
  return Compactor(file, cipher, progress).run();
}

}  // namespace platter::qcow2
