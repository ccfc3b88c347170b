#include "formats/qcow2/l2.h"

#include <algorithm>
#include <bit>

namespace platter::qcow2 {
namespace {

using Kind = Allocation::Kind;

Allocation invalid(const char* problem) { return {.kind = Kind::invalid, .problem = problem}; }

// Specification, "Compressed Clusters Descriptor".
uint32_t stream_offset_bits(uint32_t cluster_bits) { return 62 - (cluster_bits - 8); }

Allocation decode_compressed(const L2Shape& shape, const L2Entry& entry, uint64_t in_cluster) {
  if (shape.external_data) return invalid("is compressed in an image with a data file");
  if (shape.extended && entry.bitmap != 0) return invalid("is compressed and has subclusters");
  const uint32_t sector_bits = shape.cluster_bits - 8;
  const uint32_t offset_bits = stream_offset_bits(shape.cluster_bits);
  const uint64_t host = entry.word & ((uint64_t{1} << offset_bits) - 1);
  const uint64_t more_sectors = (entry.word >> offset_bits) & ((uint64_t{1} << sector_bits) - 1);
  if (host >= kMaxHostOffset) return invalid("has a compressed cluster beyond 2^56");
  return {.kind = Kind::compressed,
          .length = shape.cluster_size() - in_cluster,
          .host = host,
          .stored = static_cast<uint32_t>((more_sectors + 1) * kSector - host % kSector)};
}

// How many of the lowest bits are set.
uint32_t run_of(uint32_t bits) { return static_cast<uint32_t>(std::countr_one(bits)); }

// Specification, "Extended L2 Entries".
Allocation decode_subclusters(const L2Shape& shape, const L2Entry& entry, uint64_t in_cluster,
                              bool allocated) {
  const auto data = static_cast<uint32_t>(entry.bitmap);
  const auto zero = static_cast<uint32_t>(entry.bitmap >> kSubclusters);
  if ((data & zero) != 0) return invalid("has subclusters both allocated and zero");
  if (data != 0 && !allocated) return invalid("has allocated subclusters but no cluster");
  const uint32_t size_bits = shape.cluster_bits - 5;
  const auto first = static_cast<uint32_t>(in_cluster >> size_bits);
  const uint32_t data_run = run_of(data >> first);
  const uint32_t zero_run = run_of(zero >> first);
  Allocation out;
  uint32_t run = data_run;
  if (data_run != 0) {
    out.kind = Kind::data;
    out.host = (entry.word & kOffsetMask) + in_cluster;
    out.owned = shape.external_data || (entry.word & kCopied) != 0;
  } else if (zero_run != 0) {
    out.kind = Kind::zero;
    run = zero_run;
  } else {
    // Above the 32 subclusters every bit of neither is set: the cluster's end bounds the run.
    const uint64_t neither = ~uint64_t{data | zero};
    run = std::min(static_cast<uint32_t>(std::countr_one(neither >> first)), kSubclusters - first);
  }
  out.length = (uint64_t{first + run} << size_bits) - in_cluster;
  return out;
}

}  // namespace

Allocation decode(const L2Shape& shape, const L2Entry& entry, uint64_t in_cluster) {
  if ((entry.word & kCompressed) != 0) return decode_compressed(shape, entry, in_cluster);
  const uint64_t host = entry.word & kOffsetMask;
  if ((host & (shape.cluster_size() - 1)) != 0) return invalid("has an unaligned cluster");
  // In a data file the first cluster lies at 0: there only the flag says that it is there.
  const bool allocated = host != 0 || (shape.external_data && (entry.word & kCopied) != 0);
  if (shape.extended) return decode_subclusters(shape, entry, in_cluster, allocated);

  Allocation out{.length = shape.cluster_size() - in_cluster};
  if ((entry.word & kZeroFlag) != 0) {
    if (shape.version == 2) return invalid("has a zero cluster, which version 2 does not know");
    out.kind = Kind::zero;
  } else if (allocated) {
    out.kind = Kind::data;
    out.host = host + in_cluster;
    out.owned = shape.external_data || (entry.word & kCopied) != 0;
  }
  return out;
}

uint64_t compressed_word(uint32_t cluster_bits, uint64_t host, uint64_t length) {
  const uint64_t more_sectors = (host + length - 1) / kSector - host / kSector;
  return kCompressed | more_sectors << stream_offset_bits(cluster_bits) | host;
}

uint64_t max_stream_end(uint32_t cluster_bits) {
  return std::min(uint64_t{1} << stream_offset_bits(cluster_bits), kMaxHostOffset);
}

}  // namespace platter::qcow2
