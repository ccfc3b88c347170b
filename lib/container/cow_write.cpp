// A write goes where its bytes already are, or into new space that the whole block is composed in
// first (old bytes around, new bytes inside) and that readers see only when it is complete. Whole
// blocks in a row share one step.
// In-place writes share the range lock; whoever moves or makes a block has it alone, and looks
// again once it has: the loser of a race finds the winner's block in place. Encrypted sectors
// change as a whole, so who writes into one in place has it alone, too.
#include "lib/container/cow_write.h"

#include <cstring>
#include <vector>

#include "lib/base/checked.h"
#include "lib/base/zeroes.h"
#include "lib/container/extent_walk.h"
#include "lib/container/guest_bytes.h"

namespace platter {
namespace {

using Kind = Extent::Kind;

constexpr uint64_t kMaxZeroed = GiB;  // in one step, which keeps others from these bytes

// The block around the first byte of part: what a copy-up may touch. Where there are no blocks, the
// sectors of part: what may be encrypted as one.
Range block_around(const Writable& disk, const Range& part) {
  const uint64_t unit = disk.top.info().block_size;
  return unit == 0 ? align_out(part, Cipher::kSector) : align_out({part.offset, 1}, unit);
}

// The whole blocks at the start of want, when there are two or more; otherwise the first one's
// block.
Range blocks_of(const Writable& disk, const Range& want) {
  const Range first = block_around(disk, want);
  if (want.offset != first.offset || want.length < 2 * first.length) return first;
  return {want.offset, want.length / first.length * first.length};
}

Result<Extent> map_top(const Writable& disk, const Range& part) {
  return TRY(disk.top.map(part)).clipped(part);
}

bool in_place(const Extent& extent) { return extent.kind == Kind::data && extent.in_place; }

Result<bool> reads_as_zeroes(const View& view, const Range& range) {
  bool zeroes = true;
  TRY(walk(view, range, [&](const View::Mapped& run) -> Result<bool> {
    zeroes = is_hole(run.extent);
    return zeroes;
  }));
  return zeroes;
}

// The reserved space filled: old bytes around, new bytes inside, zeroes past the disk's end.
Result<void> fill(const View& view, const Reservation& r, const Range& guest, Bytes data) {
  const Range inside = intersect(r.covers, {0, view.size()});
  const bool plain = r.cipher == nullptr;
  if (plain && (r.covers == guest || (r.zeroed && TRY(reads_as_zeroes(view, inside))))) {
    return r.file->write(r.host + (guest.offset - r.covers.offset), data);
  }
  thread_local std::vector<std::byte> block;
  block.assign(r.covers.length, std::byte{0});
  if (inside != guest) TRY(view.read(inside.offset, MutableBytes(block).first(inside.length)));
  std::memcpy(block.data() + (guest.offset - r.covers.offset), data.data(), data.size());
  if (!plain) TRY(r.cipher->encrypt(r.tweak, block));
  return r.file->write(r.host, block);
}

// How many bytes of the blocks at the start are all zeroes, or are in blocks that are not.
struct Alike {
  bool zero;
  uint64_t length;
};
Alike alike_at_start(const Writable& disk, Bytes bytes) {
  const uint64_t unit = disk.top.info().block_size;
  const uint64_t block = unit == 0 ? bytes.size() : std::min<uint64_t>(unit, bytes.size());
  Alike run{all_zero(bytes.first(block)), block};
  while (run.length < bytes.size()) {
    const uint64_t n = std::min(block, bytes.size() - run.length);
    if (all_zero(bytes.subspan(run.length, n)) != run.zero) break;
    run.length += n;
  }
  return run;
}

// Gives the number of bytes written: one reservation's worth.
Result<uint64_t> write_new(const Writable& disk, const Range& guest, Bytes data) {
  const Reservation r = TRY(disk.top.reserve(guest));
  const Range part = intersect(guest, r.covers);
  Result<void> done = fill(disk.view, r, part, data.first(part.length));
  if (done) done = disk.top.publish(r);
  if (done) return part.length;
  disk.top.abandon(r);
  return std::move(done.error());
}

// Zeroes onto bytes that are not in place: nothing to do where the guest sees zeroes already, an
// explicit zero where the format can say it. The bytes of part dealt with; none: write them.
Result<uint64_t> zero_without_data(const Writable& disk, const Range& part, File::Zero how) {
  const View::Mapped seen = TRY(disk.view.map(part));
  const Extent& e = seen.extent;
  const bool zeroes = e.kind == Kind::absent || e.kind == Kind::zero;
  const bool of_top = e.kind == Kind::zero && seen.depth == 0;
  if (!zeroes || (disk.zeroes == Zeroes::own && !of_top)) {
    return TRY(disk.top.make_zero(part, how)).length;
  }
  // Space may have been kept below zeroes; where it was not, there is nothing to do.
  if (of_top && how == File::Zero::free_space) {
    TRY(disk.top.make_zero(e.guest, how));
  }
  return e.guest.length;
}

// The bytes at the start of data that a parent shows already, where the image has nothing; none
// when it does not.
Result<uint64_t> same_as_parent(const Writable& disk, const Extent& e, Bytes data) {
  if (disk.store_same || e.kind != Kind::absent) return uint64_t{0};
  if (disk.zeroes == Zeroes::keep && all_zero(data)) return uint64_t{0};
  thread_local std::vector<std::byte> seen;
  seen.resize(data.size());
  TRY(disk.view.read(e.guest.offset, seen));
  return uint64_t{std::memcmp(seen.data(), data.data(), data.size()) == 0 ? data.size() : 0};
}

// Writes the first bytes of data, which are in blocks that are not in place yet; gives how many.
Result<uint64_t> write_blocks(const Writable& disk, const Range& want, Bytes data) {
  const Range blocks = blocks_of(disk, want);
  const RangeLock::Guard guard(disk.ranges, blocks, RangeLock::Mode::exclusive);
  const Extent e = TRY(map_top(disk, intersect(want, blocks)));
  Range part = e.guest;
  if (!in_place(e) && disk.zeroes != Zeroes::keep) {
    const Alike run = alike_at_start(disk, data.first(part.length));
    part.length = run.length;
    if (run.zero) {
      const uint64_t n = TRY(zero_without_data(disk, part, File::Zero::keep_space));
      disk.dead.written({part.offset, n});
      if (n != 0) return n;
    }
  }
  if (const uint64_t same = TRY(same_as_parent(disk, e, data.first(part.length))); same != 0) {
    return same;
  }
  disk.dead.written(part);
  if (!in_place(e)) return write_new(disk, part, data.first(part.length));
  TRY(overwrite(e, data.first(part.length)));
  return part.length;
}

// Overwrites what is in place at the start of want; gives how many bytes, none when it is not. An
// encrypted sector changes as a whole, also where only some of its bytes are written.
Result<uint64_t> write_in_place(const Writable& disk, const Range& want, Bytes data) {
  const bool sectors = disk.top.info().encrypted;
  const RangeLock::Guard guard(disk.ranges, sectors ? align_out(want, Cipher::kSector) : want,
                               sectors ? RangeLock::Mode::exclusive : RangeLock::Mode::shared);
  const Extent e = TRY(map_top(disk, want));
  if (!in_place(e)) return uint64_t{0};
  disk.dead.written(e.guest);
  TRY(overwrite(e, data.first(e.guest.length)));
  return e.guest.length;
}

// Writes zeroes over the start of part; gives how many.
Result<uint64_t> write_zeroes(const Writable& disk, Range part) {
  static const std::vector<std::byte> zeroes(64 * KiB);
  part.length = std::min<uint64_t>(part.length, zeroes.size());
  const Extent e = TRY(map_top(disk, part));
  const Bytes bytes = Bytes(zeroes).first(e.guest.length);
  if (!in_place(e)) return write_new(disk, e.guest, bytes);
  TRY(overwrite(e, bytes));
  return e.guest.length;
}

// Zeroes the first bytes of want; gives how many.
Result<uint64_t> zero_blocks(const Writable& disk, Range want, File::Zero how) {
  want.length = std::min(want.length, kMaxZeroed);
  const Range blocks = intersect(blocks_of(disk, want), {0, disk.view.size()});
  const RangeLock::Guard guard(disk.ranges, blocks, RangeLock::Mode::exclusive);
  uint64_t done = TRY(zero_without_data(disk, intersect(want, blocks), how));
  if (done != 0) return done;
  const Range block = intersect(block_around(disk, want), blocks);
  const Range part = intersect(want, block);
  done = TRY(write_zeroes(disk, part));
  const bool has_blocks = disk.top.info().block_size != 0;
  const bool all_dead =
      has_blocks && how == File::Zero::free_space && disk.dead.discarded({part.offset, done});
  // Every byte of the block is zero now: whether its space can go as well is the format's to say.
  if (all_dead) TRY(disk.top.make_zero(block, how));
  return done;
}

Result<void> check_range(const Writable& disk, uint64_t offset, uint64_t length) {
  if (fits(offset, length, disk.view.size())) return {};
  return Error(Errc::out_of_range, "outside the disk");
}

}  // namespace

Result<void> cow_write(const Writable& disk, uint64_t offset, Bytes data) {
  TRY(check_range(disk, offset, data.size()));
  while (!data.empty()) {
    uint64_t n = TRY(write_in_place(disk, {offset, data.size()}, data));
    if (n == 0) n = TRY(write_blocks(disk, {offset, data.size()}, data));
    offset += n;
    data = data.subspan(n);
  }
  return {};
}

Result<void> cow_zero(const Writable& disk, Range range, File::Zero how) {
  TRY(check_range(disk, range.offset, range.length));
  while (!range.empty()) {
    const uint64_t n = TRY(zero_blocks(disk, range, how));
    range = {range.offset + n, range.length - n};
  }
  return {};
}

}  // namespace platter
