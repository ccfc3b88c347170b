// What becomes of an L2 entry when its cluster is written or zeroed. Pure.
#pragma once

#include "formats/qcow2/l2.h"
#include "lib/io/file.h"

namespace platter::qcow2 {

// The bytes of the image file that an entry has a reference to; each cluster they touch counts it
// once. Empty: none, as with clusters of a data file.
Range held_by(const L2Shape& shape, const L2Entry& entry);

// The entry has a cluster to itself that new bytes can go to, visible or not.
bool owns_cluster(const L2Shape& shape, const L2Entry& entry);

// The smallest part of the cluster that has to be written for want (both in bytes from the
// cluster's start): all of it, or whole subclusters.
Range unit_to_write(const L2Shape& shape, const L2Entry& old, const Range& want);

// The entry after the bytes of written went to the cluster at host: the old one's own cluster or a
// new one.
L2Entry after_write(const L2Shape& shape, const L2Entry& old, uint64_t host, const Range& written);

// The part of want, from its start, that the entry can call zero: the whole cluster, or whole
// subclusters; or empty.
Range unit_to_zero(const L2Shape& shape, const L2Entry& old, const Range& want);

// The entry with that part zero, whatever a backing file has. free_space: without a cluster when
// all of it is zero. A cluster that others point at too is never kept.
L2Entry after_zero(const L2Shape& shape, const L2Entry& old, const Range& zeroed, File::Zero how);

}  // namespace platter::qcow2
