#include "lib/ops/convert.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "lib/base/checked.h"
#include "lib/base/zeroes.h"
#include "lib/ops/in_order.h"
#include "lib/ops/source_disk.h"

namespace platter {
namespace {

// Large enough that a thread is worth waking, small enough that many fit in memory.
constexpr uint64_t kChunk = 2 * MiB;
constexpr uint64_t kMemory = 256 * MiB;  // of chunks read ahead, unless one block is larger

struct Run {
  Range range;        // in the chunk
  bool zero = false;  // over a parent: it has something else there
};
struct Chunk {
  Range range;                   // begins on a block, and ends on one or with the disk
  std::vector<std::byte> bytes;  // of range
  std::vector<Run> runs;         // the blocks the new image needs, neighbours of a kind joined
  uint64_t same = 0;             // bytes of the others that the parent has
};

class Copy {
 public:
  // parent: null: what is not written reads as zeroes.
  Copy(const SourceDisk& source, const SourceDisk* parent, ImageWriter& writer, Progress& progress)
      : source_(source),
        parent_(parent),
        writer_(writer),
        progress_(progress),
        block_(writer.block_size()),
        chunk_size_(div_up(kChunk, block_) * block_) {}

  Result<ConvertReport> run(unsigned threads) {
    const uint64_t memory = parent_ != nullptr ? kMemory / 2 : kMemory;
    const size_t ahead = std::clamp<size_t>(memory / chunk_size_, 2, 2 * size_t{threads} + 2);
    InOrder<Chunk> copy({.next = [this](Chunk& c) { return plan(c); },
                         .work = [this](Chunk& c) { return read(c); },
                         .use = [this](Chunk& c) { return write(c); }},
                        threads, ahead);
    TRY(copy.run());
    report_.holes = source_.size() - report_.copied - report_.zeroes - report_.same;
    return report_;
  }

 private:
  static Error interrupted() { return Error(Errc::cancelled, "interrupted"); }

  // Nothing to copy, known without a look at any byte; empty: there may be.
  Result<Range> hole_at(uint64_t offset) const {
    const SourceDisk::Piece piece = TRY(source_.piece_at(offset));
    if (!piece.hole) return Range{offset, 0};
    if (parent_ == nullptr) return piece.range;
    const SourceDisk::Piece below = TRY(parent_->piece_at(offset));
    return below.hole ? intersect(piece.range, below.range) : Range{offset, 0};
  }

  // The chunk that begins with the block of the next byte outside a hole.
  Result<bool> plan(Chunk& chunk) {
    while (planned_ < source_.size()) {
      if (progress_.cancelled()) return interrupted();
      const Range hole = TRY(hole_at(planned_));
      if (hole.empty()) break;
      planned_ = hole.end();
    }
    if (planned_ >= source_.size()) return false;
    const uint64_t start = planned_ - planned_ % block_;
    chunk.range = {start, std::min(chunk_size_, source_.size() - start)};
    planned_ = chunk.range.end();
    return true;
  }

  Result<void> read(Chunk& chunk) const {
    chunk.bytes.resize(chunk.range.length);
    TRY(source_.read(chunk.range.offset, chunk.bytes));
    std::vector<std::byte> below;
    if (parent_ != nullptr) {
      below.resize(chunk.range.length);
      TRY(parent_->read(chunk.range.offset, below));
    }
    chunk.runs.clear();
    chunk.same = 0;
    for (uint64_t at = 0; at < chunk.bytes.size(); at += block_) {
      const Range block{at, std::min(block_, chunk.bytes.size() - at)};
      look_at(chunk, block, below);
    }
    return {};
  }

  // below: what the parent has instead of the chunk; empty: there is none.
  static void look_at(Chunk& chunk, const Range& block, Bytes below) {
    const Bytes bytes = Bytes(chunk.bytes).subspan(block.offset, block.length);
    const bool zero = all_zero(bytes);
    if (below.empty() && zero) return;
    if (!below.empty() &&
        std::memcmp(bytes.data(), below.data() + block.offset, block.length) == 0) {
      chunk.same += block.length;
      return;
    }
    const bool joins = !chunk.runs.empty() && chunk.runs.back().zero == zero &&
                       chunk.runs.back().range.end() == block.offset;
    if (joins) {
      chunk.runs.back().range.length += block.length;
    } else {
      chunk.runs.push_back({block, zero});
    }
  }

  Result<bool> write(Chunk& chunk) {
    uint64_t written = 0;
    for (const auto& [range, zero] : chunk.runs) {
      if (progress_.cancelled()) return interrupted();
      const uint64_t offset = chunk.range.offset + range.offset;
      if (zero) {
        TRY(writer_.zero({offset, range.length}));
      } else {
        TRY(writer_.write(offset, Bytes(chunk.bytes).subspan(range.offset, range.length)));
        written += range.length;
      }
    }
    report_.copied += written;
    report_.same += chunk.same;
    report_.zeroes += chunk.range.length - written - chunk.same;
    progress_.advance(chunk.range.end(), source_.size());
    return true;
  }

  const SourceDisk& source_;
  const SourceDisk* const parent_;
  ImageWriter& writer_;
  Progress& progress_;
  const uint64_t block_;
  const uint64_t chunk_size_;
  uint64_t planned_ = 0;  // only plan(), one thread at a time
  ConvertReport report_;  // only write()
};

}  // namespace

Result<ConvertReport> convert(const ConvertArgs& args, Progress& progress) {
  const uint64_t size = TRY(SourceDisk::size_of(args.sources));
  if (args.target.size < size) {
    return Error(Errc::invalid, "the new disk is smaller than the sources");
  }
  const SourceDisk source(args.sources, args.target.size);
  std::optional<SourceDisk> parent;
  if (args.parent)
    parent.emplace(std::vector{args.parent}, std::max(args.target.size, args.parent->size()));
  NewImage target = TRY(NewImage::begin(args.target));
  Copy copy(source, parent ? &*parent : nullptr, target.writer(), progress);
  const ConvertReport report = TRY(copy.run(std::max(args.threads, 1U)));
  if (progress.cancelled()) return Error(Errc::cancelled, "interrupted");
  progress.advance(source.size(), source.size());
  TRY(target.commit());
  return report;
}

}  // namespace platter
