// NewSpace: where everything in a new image goes, front to back, and how often each cluster of the
// file is pointed at.
#pragma once

#include <algorithm>
#include <vector>

#include "formats/qcow2/create_options.h"

namespace platter::qcow2 {

// Nothing is ever given back. An image without compressed clusters has one reference to each
// cluster of the file, and takes no memory here; else it is two bytes a cluster. Thread safety: one
// thread.
class NewSpace {
 public:
  explicit NewSpace(const Shape& shape);

  struct Clusters {
    uint64_t host = 0;  // bytes
    uint64_t count = 0;
  };
  // At least one cluster, at most so many, side by side; all of them unless the image is
  // compressed. Errc::no_space: refcounts cannot count so many.
  Result<Clusters> take(uint64_t most);
  // So many side by side: where they begin, bytes.
  Result<uint64_t> take_all(uint64_t count);
  // Room for a compressed cluster of 1 to cluster size bytes, behind the one before if it can be:
  // streams share clusters of the file, and go on from one into the next.
  Result<uint64_t> take_stream(uint64_t length);

  // The place of what counts all of the file, itself too: behind all that was taken.
  struct Refcounts {
    uint64_t blocks_offset = 0, blocks = 0;
    uint64_t table_offset = 0, table_clusters = 0;
    uint64_t clusters = 0;  // of the whole file
  };
  Result<Refcounts> place_refcounts() const;
  Result<void> write_refcounts(File& file, const Refcounts& place) const;

 private:
  // Clusters side by side, by number. Streams have a run of their own, so that neither an L2 table
  // nor a cluster that cannot be compressed comes between two of them.
  struct Run {
    uint64_t next = 0, end = 0;
  };
  Result<void> make_room(Run& run, uint64_t count);
  void mark_taken(Run& run, uint64_t count);
  // Clusters from the start of the file on, with all that was taken among them.
  uint64_t used() const { return std::max(plain_.next, packed_.next); }
  uint64_t references(uint64_t cluster) const;
  // Of that many clusters, side by side as a refcount block has them.
  void fill_counts(MutableBytes counts, uint64_t first, uint64_t count) const;

  const Shape shape_;
  const uint64_t most_references_;  // to one cluster
  uint64_t end_ = 1;                // of the runs, which begin behind the header's cluster
  Run plain_{1, 1}, packed_;
  uint64_t stream_end_ = 0;           // of the last stream, bytes
  std::vector<uint16_t> references_;  // to each cluster below end_; empty: one each
};

}  // namespace platter::qcow2
