#include "formats/qcow2/check_refcounts.h"

#include <algorithm>

#include "formats/qcow2/check_walk.h"
#include "lib/base/checked.h"
#include "lib/base/zeroes.h"

namespace platter::qcow2 {
namespace {

constexpr uint64_t kReservedOfTable = 0x1ff;  // specification, "Refcount table entry"
constexpr size_t kEntriesAtOnce = 8192;       // entries of the table read at once

void compare_one(uint64_t offset, uint64_t references, uint64_t stored, uint64_t max,
                 Findings& findings) {
  if (references > max) {
    findings.add(Fault::narrow,
                 "cluster {:#x}: is used {} times, refcounts of this image end at {}", offset,
                 references, max);
  } else if (stored < references) {
    findings.add(Fault::low, "cluster {:#x}: refcount {}, but it is used {} times", offset, stored,
                 references);
  } else if (stored > references) {
    findings.add(Fault::leak, "cluster {:#x}: refcount {}, but it is used {} times", offset, stored,
                 references);
  }
}

}  // namespace

StoredRefcounts::StoredRefcounts(File& file, const Header& header)
    : file_(file),
      cluster_bits_(header.cluster_bits),
      order_(header.refcount_order),
      file_size_(header.file_size),
      block_(header.cluster_size()) {}

Result<StoredRefcounts> StoredRefcounts::load(File& file, const Header& header,
                                              Findings* findings) {
  StoredRefcounts out(file, header);
  const Table& table = header.refcount_table;
  for (uint64_t first = 0; first < table.entries; first += kEntriesAtOnce) {
    std::vector<be64> words(std::min<uint64_t>(kEntriesAtOnce, table.entries - first));
    const auto bytes = std::as_writable_bytes(std::span(words));
    if (!TRY(read_table(file, table.offset + first * sizeof(be64), bytes))) continue;
    for (size_t i = 0; i < words.size(); ++i) {
      if (words[i] != 0) out.take(first + i, words[i], findings);
    }
  }
  out.drop_shared_blocks(findings);
  return out;
}

void StoredRefcounts::take(uint64_t index, uint64_t word, Findings* findings) {
  const char* fault = nullptr;
  const uint64_t offset = word & ~kReservedOfTable;
  if (offset != word) {
    fault = "has reserved bits set";
  } else if ((offset & ((uint64_t{1} << cluster_bits_) - 1)) != 0) {
    fault = "points at an unaligned block";
  } else if (offset >= file_size_) {
    fault = "points at a block past the end of the file";
  }
  if (fault == nullptr) {
    blocks_.resize(index + 1);
    blocks_[index] = offset;
  } else if (findings != nullptr) {
    findings->add(Fault::refcount_table, "refcount table entry {}: {} ({:#x})", index, fault, word);
  }
}

// A block can count one run of clusters only; the first entry keeps it. Were they all read, a small
// file could keep its reader busy for days.
void StoredRefcounts::drop_shared_blocks(Findings* findings) {
  std::vector<std::pair<uint64_t, uint64_t>> order;
  for (uint64_t i = 0; i < blocks_.size(); ++i) {
    if (blocks_[i] != 0) order.emplace_back(blocks_[i], i);
  }
  std::sort(order.begin(), order.end());
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i].first != order[i - 1].first) continue;
    blocks_[order[i].second] = 0;
    if (findings == nullptr) continue;
    findings->add(Fault::refcount_table, "refcount table entry {}: its block at {:#x} is another's",
                  order[i].second, order[i].first);
  }
}

Result<bool> StoredRefcounts::read_block(uint64_t index) {
  if (loaded_ == index) return !zero_;
  TRY(write_back());
  loaded_ = ~uint64_t{0};
  zero_ = !TRY(read_table(file_, blocks_[index], block_)) || all_zero(block_);
  loaded_ = index;
  return !zero_;
}

Result<bool> StoredRefcounts::block_counts(uint64_t cluster) {
  if (!has_block_for(cluster)) return false;
  return read_block(cluster / per_block());
}

Result<uint64_t> StoredRefcounts::get(uint64_t cluster) {
  if (!TRY(block_counts(cluster))) return uint64_t{0};
  return packed_count(block_, order_, cluster % per_block());
}

Result<void> StoredRefcounts::set(uint64_t cluster, uint64_t value) {
  if (!TRY(read_block(cluster / per_block()))) {
    if (value == 0) return {};
    std::fill(block_.begin(), block_.end(), std::byte{0});
    zero_ = false;
  }
  set_packed_count(block_, order_, cluster % per_block(), value);
  changed_ = hull(changed_, {cluster % per_block(), 1});
  return {};
}

Result<void> StoredRefcounts::write_back() {
  if (changed_.empty()) return {};
  const uint64_t from = (changed_.offset << order_) / 8;
  const uint64_t to = div_up(changed_.end() << order_, 8);
  TRY(file_.write(blocks_[loaded_] + from, Bytes(block_).subspan(from, to - from)));
  changed_ = {};
  return {};
}

Result<void> compare_refcounts(StoredRefcounts& stored, const RefcountMap& map,
                               const Header& header, Findings& findings) {
  const uint64_t file_clusters = div_up(header.file_size, header.cluster_size());
  const uint64_t max = max_count(header.refcount_order);
  const auto compare = [&](uint64_t cluster, uint64_t references, uint64_t count) -> Result<void> {
    const uint64_t offset = cluster << header.cluster_bits;
    if (references != 0) findings.end = std::max(findings.end, cluster + 1);
    if (references != count) compare_one(offset, references, count, max, findings);
    if (count == 1 ? map.has(cluster, Pointer::plain) : map.has(cluster, Pointer::copied)) {
      findings.add(Fault::copied, "cluster {:#x}: refcount {}, but an entry with{} COPIED flag",
                   offset, count, count == 1 ? "out the" : " the");
    }
    return {};
  };
  return for_each_count(stored, map, file_clusters, compare);
}

}  // namespace platter::qcow2
