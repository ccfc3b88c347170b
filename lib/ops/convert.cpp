#include "lib/ops/convert.h"

#include <algorithm>

#include "lib/base/checked.h"
#include "lib/base/zeroes.h"
#include "lib/ops/in_order.h"
#include "lib/ops/source_disk.h"

namespace platter {
namespace {

// Large enough that a thread is worth waking, small enough that many fit in memory.
constexpr uint64_t kChunk = 2 * MiB;
constexpr uint64_t kMemory = 256 * MiB;  // of chunks read ahead, unless one block is larger

struct Chunk {
  Range range;                   // begins on a block, and ends on one or with the disk
  std::vector<std::byte> bytes;  // of range
  std::vector<Range> data;       // the blocks that are not all zero, neighbours joined
};

class Copy {
 public:
  Copy(const SourceDisk& source, ImageWriter& writer, Progress& progress)
      : source_(source),
        writer_(writer),
        progress_(progress),
        block_(writer.block_size()),
        chunk_size_(div_up(kChunk, block_) * block_) {}

  Result<ConvertReport> run(unsigned threads) {
    const size_t ahead = std::clamp<size_t>(kMemory / chunk_size_, 2, 2 * size_t{threads} + 2);
    InOrder<Chunk> copy({.next = [this](Chunk& c) { return plan(c); },
                         .work = [this](Chunk& c) { return read(c); },
                         .use = [this](Chunk& c) { return write(c); }},
                        threads, ahead);
    TRY(copy.run());
    report_.holes = source_.size() - report_.copied - report_.zeroes;
    return report_;
  }

 private:
  static Error interrupted() { return Error(Errc::cancelled, "interrupted"); }

  // The chunk that begins with the block of the next byte outside a hole.
  Result<bool> plan(Chunk& chunk) {
    while (planned_ < source_.size()) {
      if (progress_.cancelled()) return interrupted();
      const SourceDisk::Piece piece = TRY(source_.piece_at(planned_));
      if (!piece.hole) break;
      planned_ = piece.range.end();
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
    chunk.data.clear();
    for (uint64_t at = 0; at < chunk.bytes.size(); at += block_) {
      const Range block{at, std::min(block_, chunk.bytes.size() - at)};
      if (all_zero(Bytes(chunk.bytes).subspan(block.offset, block.length))) continue;
      if (!chunk.data.empty() && chunk.data.back().end() == at) {
        chunk.data.back().length += block.length;
      } else {
        chunk.data.push_back(block);
      }
    }
    return {};
  }

  Result<bool> write(Chunk& chunk) {
    uint64_t written = 0;
    for (const Range& run : chunk.data) {
      if (progress_.cancelled()) return interrupted();
      TRY(writer_.write(chunk.range.offset + run.offset,
                        Bytes(chunk.bytes).subspan(run.offset, run.length)));
      written += run.length;
    }
    report_.copied += written;
    report_.zeroes += chunk.range.length - written;
    progress_.advance(chunk.range.end(), source_.size());
    return true;
  }

  const SourceDisk& source_;
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
  NewImage target = TRY(NewImage::begin(args.target));
  const ConvertReport report =
      TRY(Copy(source, target.writer(), progress).run(std::max(args.threads, 1U)));
  if (progress.cancelled()) return Error(Errc::cancelled, "interrupted");
  progress.advance(source.size(), source.size());
  TRY(target.commit());
  return report;
}

}  // namespace platter
