#include "formats/qcow2/repair_refcounts.h"

#include <algorithm>

#include "formats/qcow2/repair_header.h"
#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

// Writes blocks of refcounts, given in ascending order of clusters, one behind the other.
class BlockWriter {
 public:
  BlockWriter(File& file, const Header& header, uint64_t first)
      : file_(file),
        cluster_bits_(header.cluster_bits),
        order_(header.refcount_order),
        first_(first),
        block_(header.cluster_size()) {}

  Result<void> put(uint64_t cluster, uint64_t count);
  // Behind the last put(): counts the new clusters themselves, reserved ones among them, and
  // writes the table.
  Result<void> finish(uint64_t reserved);
  uint64_t first_reserved() const { return first_reserved_; }
  Table table() const { return table_; }

 private:
  static constexpr uint64_t kNone = ~uint64_t{0};

  uint64_t per_block() const { return uint64_t{1} << (cluster_bits_ + 3 - order_); }
  Result<void> end_block();
  // Clusters that are new in the end: blocks, reserved ones, table.
  Result<void> plan(uint64_t reserved);

  File& file_;
  const uint32_t cluster_bits_, order_;
  const uint64_t first_;
  std::vector<std::byte> block_;
  uint64_t index_ = kNone;  // of what is in block_
  uint64_t written_ = 0;    // blocks
  std::vector<be64> entries_;
  uint64_t first_reserved_ = 0;
  uint64_t end_ = 0;  // behind all new clusters
  Table table_;
};

Result<void> BlockWriter::end_block() {
  if (index_ == kNone) return {};
  if (index_ >= kMaxRefcountTableBytes / sizeof(be64)) {
    return Error(Errc::no_space, "refcount table: would be larger than 8 MiB");
  }
  const uint64_t offset = (first_ + written_) << cluster_bits_;
  TRY(file_.write(offset, block_));
  entries_.resize(index_ + 1);
  entries_[index_] = offset;
  ++written_;
  std::fill(block_.begin(), block_.end(), std::byte{0});
  index_ = kNone;
  return {};
}

Result<void> BlockWriter::put(uint64_t cluster, uint64_t count) {
  if (cluster / per_block() != index_) {
    TRY(end_block());
    index_ = cluster / per_block();
  }
  set_packed_count(block_, order_, cluster % per_block(), std::min(count, max_count(order_)));
  return {};
}

// More clusters may need more blocks to count them, and those are clusters.
Result<void> BlockWriter::plan(uint64_t reserved) {
  const uint64_t pending = index_ == kNone ? 0 : 1;
  uint64_t blocks = written_ + pending, table_clusters = 1;
  for (uint64_t before = 0; before != blocks + table_clusters;) {
    before = blocks + table_clusters;
    end_ = first_ + blocks + reserved + table_clusters;
    const uint64_t from = first_ / per_block(), to = (end_ - 1) / per_block();
    blocks = written_ + pending + (to - from + 1) - (index_ == from ? 1 : 0);
    table_clusters = div_up((to + 1) * sizeof(be64), uint64_t{1} << cluster_bits_);
  }
  if (table_clusters << cluster_bits_ > kMaxRefcountTableBytes) {
    return Error(Errc::no_space, "refcount table: would be larger than 8 MiB");
  }
  first_reserved_ = first_ + blocks;
  table_ = {(first_reserved_ + reserved) << cluster_bits_,
            (table_clusters << cluster_bits_) / sizeof(be64)};
  return {};
}

Result<void> BlockWriter::finish(uint64_t reserved) {
  TRY(plan(reserved));
  const uint64_t end = end_;
  for (uint64_t cluster = first_; cluster < end; ++cluster) TRY(put(cluster, 1));
  TRY(end_block());
  entries_.resize(table_.entries);
  return file_.write(table_.offset, std::as_bytes(std::span(entries_)));
}

Result<void> write_blocks(File& file, const CheckedImage& image, const Rebuild& how,
                          BlockWriter& writer) {
  const Header& header = image.header;
  const uint64_t file_clusters = div_up(header.file_size, header.cluster_size());
  Census census(file, image);
  census.set_refcounts(Census::Refcounts::left_out);
  const auto write = [&](RefcountMap& map, StoredRefcounts& stored) {
    const auto put = [&](uint64_t cluster, uint64_t references, uint64_t count) -> Result<void> {
      const uint64_t wanted = how.keep_high ? std::max(references, count) : references;
      return wanted == 0 ? Result<void>{} : writer.put(cluster, wanted);
    };
    return for_each_count(stored, map, file_clusters, put);
  };
  TRY(census.for_each_window(nullptr, write));
  return writer.finish(how.reserved);
}

}  // namespace

Result<void> lower_refcounts(File& file, const CheckedImage& image) {
  Census census(file, image);
  const auto lower = [&](RefcountMap& map, StoredRefcounts& stored) {
    return stored.for_each_piece(map, [&](const StoredRefcounts::Piece& piece) -> Result<void> {
      if (piece.block.empty()) return {};
      uint64_t first = piece.end, end = 0;
      for (uint64_t cluster = piece.first; cluster < piece.end; ++cluster) {
        const uint64_t i = cluster - piece.base, references = map.count(cluster);
        if (packed_count(piece.block, stored.order(), i) <= references) continue;
        set_packed_count(piece.block, stored.order(), i, references);
        first = std::min(first, i);
        end = i + 1;
      }
      if (end == 0) return {};
      const uint64_t from = (first << stored.order()) / 8, to = div_up(end << stored.order(), 8);
      return file.write(piece.offset + from, Bytes(piece.block).subspan(from, to - from));
    });
  };
  TRY(census.for_each_window(nullptr, lower));
  return file.sync();
}

Result<uint64_t> rebuild_refcounts(File& file, const CheckedImage& image, const Rebuild& how) {
  const uint64_t old_size = image.header.file_size;
  BlockWriter writer(file, image.header, how.first);
  Result<void> written = write_blocks(file, image, how, writer);
  if (written) written = file.sync();
  if (!written) {
    // Nothing points there yet. That it did not work is the error to tell of.
    (void)file.resize(old_size);
    return std::move(written.error());
  }
  TRY(write_refcount_place(file, writer.table(), image.header.cluster_bits));
  TRY(file.sync());
  return writer.first_reserved();
}

}  // namespace platter::qcow2
