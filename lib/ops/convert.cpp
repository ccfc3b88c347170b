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
  enum class Kind : unsigned char {
    data,
    zero,     // over a parent: it has something else there
    encoded,  // one block
  };
  Range range;  // in the chunk
  Kind kind = Kind::data;
  Range stored = {};  // encoded: in Chunk::stored
};
struct Chunk {
  Range range;                    // begins on a block, and ends on one or with the disk
  std::vector<std::byte> bytes;   // of range, then zeroes up to the end of a block
  std::vector<Run> runs;          // the blocks the new image needs, neighbours of a kind joined
  uint64_t same = 0;              // bytes of the others that the parent has
  std::vector<std::byte> stored;  // encoded blocks, side by side
  uint64_t stored_end = 0;        // of the last of them
};

class Copy {
 public:
  // parent, own: both null: what is not written reads as zeroes.
  Copy(const SourceDisk& source, const SourceDisk* parent, const View* own, ImageWriter& writer,
       Progress& progress)
      : source_(source),
        parent_(parent),
        own_(own),
        writer_(writer),
        progress_(progress),
        encoder_(writer.encoder()),
        max_stored_(encoder_ != nullptr ? writer.max_stored() : 0),
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
    if (own_ != nullptr) {
      const Extent e = TRY(own_->map({offset, own_->size() - offset})).extent;
      return e.kind == Extent::Kind::absent ? e.guest : Range{offset, 0};
    }
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
    const uint64_t length = chunk.range.length;
    chunk.bytes.resize(div_up(length, block_) * block_);
    if (own_ != nullptr) return read_own(chunk);
    TRY(source_.read(chunk.range.offset, MutableBytes(chunk.bytes).first(length)));
    std::fill(chunk.bytes.begin() + static_cast<ptrdiff_t>(length), chunk.bytes.end(),
              std::byte{0});
    std::vector<std::byte> below;
    if (parent_ != nullptr) {
      below.resize(length);
      TRY(parent_->read(chunk.range.offset, below));
    }
    chunk.runs.clear();
    chunk.stored_end = 0;
    chunk.same = 0;
    for (uint64_t at = 0; at < length; at += block_) {
      TRY(look_at(chunk, {at, std::min(block_, length - at)}, below));
    }
    return {};
  }

  Result<bool> has_own(Range block) const {
    while (!block.empty()) {
      const Range hole = TRY(hole_at(block.offset));
      if (hole.empty()) return true;
      block = {std::min(hole.end(), block.end()), block.end() - std::min(hole.end(), block.end())};
    }
    return false;
  }

  Result<void> read_own(Chunk& chunk) const {
    chunk.runs.clear();
    chunk.stored_end = 0;
    chunk.same = 0;
    for (uint64_t at = 0; at < chunk.range.length; at += block_) {
      const Range block{at, std::min(block_, chunk.range.length - at)};
      if (!TRY(has_own({chunk.range.offset + at, block.length}))) {
        chunk.same += block.length;
        continue;
      }
      const MutableBytes bytes = MutableBytes(chunk.bytes).subspan(at, block_);
      TRY(source_.read(chunk.range.offset + at, bytes.first(block.length)));
      std::fill(bytes.begin() + static_cast<ptrdiff_t>(block.length), bytes.end(), std::byte{0});
      TRY(look_at(chunk, block, {}));
    }
    return {};
  }

  // below: what the parent has instead of the chunk; empty: there is none.
  Result<void> look_at(Chunk& chunk, const Range& block, Bytes below) const {
    const Bytes bytes = Bytes(chunk.bytes).subspan(block.offset, block.length);
    const bool zero = all_zero(bytes);
    if (below.empty() && zero && own_ == nullptr) return {};
    if (!below.empty() &&
        std::memcmp(bytes.data(), below.data() + block.offset, block.length) == 0) {
      chunk.same += block.length;
      return {};
    }
    if (!zero && encoder_ != nullptr && TRY(encode(chunk, block))) return {};
    const Run::Kind kind = zero ? Run::Kind::zero : Run::Kind::data;
    const bool joins = !chunk.runs.empty() && chunk.runs.back().kind == kind &&
                       chunk.runs.back().range.end() == block.offset;
    if (joins) {
      chunk.runs.back().range.length += block.length;
    } else {
      chunk.runs.push_back({block, kind});
    }
    return {};
  }

  // False: the block is better stored as it is.
  Result<bool> encode(Chunk& chunk, const Range& block) const {
    chunk.stored.resize(chunk_size_ / block_ * max_stored_);
    const MutableBytes room = MutableBytes(chunk.stored).subspan(chunk.stored_end, max_stored_);
    const size_t length =
        TRY(encoder_->encode(Bytes(chunk.bytes).subspan(block.offset, block_), room));
    if (length == 0) return false;
    chunk.runs.push_back({block, Run::Kind::encoded, {chunk.stored_end, length}});
    chunk.stored_end += length;
    return true;
  }

  Result<bool> write(Chunk& chunk) {
    uint64_t written = 0;
    for (const Run& run : chunk.runs) {
      if (progress_.cancelled()) return interrupted();
      TRY(write(chunk, run));
      if (run.kind != Run::Kind::zero) written += run.range.length;
    }
    report_.copied += written;
    report_.same += chunk.same;
    report_.zeroes += chunk.range.length - written - chunk.same;
    progress_.advance(chunk.range.end(), source_.size());
    return true;
  }

  Result<void> write(const Chunk& chunk, const Run& run) {
    const auto& [offset, length] = run.range;
    const uint64_t at = chunk.range.offset + offset;
    switch (run.kind) {
      case Run::Kind::zero: return writer_.zero({at, length});
      case Run::Kind::data: return writer_.write(at, Bytes(chunk.bytes).subspan(offset, length));
      case Run::Kind::encoded: break;
    }
    report_.encoded += length;
    return writer_.write_encoded(at,
                                 Bytes(chunk.stored).subspan(run.stored.offset, run.stored.length));
  }

  const SourceDisk& source_;
  const SourceDisk* const parent_;
  const View* const own_;
  ImageWriter& writer_;
  Progress& progress_;
  const Encoder* const encoder_;  // null: blocks are stored as they are
  const uint64_t max_stored_;
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
  Copy copy(source, parent ? &*parent : nullptr, args.own, target.writer(), progress);
  const ConvertReport report = TRY(copy.run(std::max(args.threads, 1U)));
  if (progress.cancelled()) return Error(Errc::cancelled, "interrupted");
  progress.advance(source.size(), source.size());
  TRY(target.commit());
  return report;
}

}  // namespace platter
