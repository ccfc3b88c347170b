#include "formats/qcow/l2.h"

namespace platter::qcow {
namespace {

Cluster invalid(const char* problem) { return {Cluster::Kind::invalid, {}, problem}; }

}  // namespace

Cluster decode(const Header& header, uint64_t entry) {
  if (entry == 0) return {};
  if ((entry & kCompressed) == 0) {
    // What QEMU's own reader demands.
    if (entry % kSector != 0) return invalid("has a cluster that is not aligned to a sector");
    if (entry > kMaxOffset - header.cluster_size()) return invalid("has a cluster beyond 2^63");
    return {Cluster::Kind::data, {entry, header.cluster_size()}};
  }
  const uint32_t offset_bits = 63 - header.cluster_bits;
  const uint64_t offset = entry & ((uint64_t{1} << offset_bits) - 1);
  const uint64_t length = (entry >> offset_bits) & (header.cluster_size() - 1);
  if (length == 0) return invalid("has a compressed cluster of no bytes");
  return {Cluster::Kind::compressed, {offset, length}};
}

}  // namespace platter::qcow
