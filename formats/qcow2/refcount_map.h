// RefcountMap: how often each cluster of the file is pointed at, counted from the pointers.
#pragma once

#include <map>
#include <vector>

#include "formats/qcow2/packed_count.h"

namespace platter::qcow2 {

// What points at a cluster, as far as the COPIED flag goes.
enum class Pointer : unsigned char {
  other,   // nothing that has such a flag, or whose flag means nothing
  copied,  // an entry of the disk's own tables, with the flag
  plain,   // one without it
};

// Counts the clusters of a window of the file, which gets smaller when the memory does not suffice:
// what is behind it is for the next window. A file with any pointers is counted in as many windows
// as it takes. Costs one bit a cluster where clusters are used once, and nothing where none is.
// Not thread safe.
class RefcountMap {
 public:
  // memory: bytes, of which a window may use a little more than it is given.
  explicit RefcountMap(uint64_t memory) : memory_(memory) {}

  // Forgets everything; the window is [first, last), in clusters.
  void start(uint64_t first, uint64_t last);
  uint64_t first() const { return first_; }
  uint64_t last() const { return last_; }

  // Of clusters outside the window nothing is kept. Counts stop at 2^64 - 1.
  void add(uint64_t cluster, uint64_t count, Pointer kind);
  // cluster: in the window.
  uint64_t count(uint64_t cluster) const;
  // Whether a pointer of that kind, copied or plain, was added.
  bool has(uint64_t cluster, Pointer kind) const;
  // The first cluster at or behind from, and before end, that something may have been added to;
  // else end.
  uint64_t next_used(uint64_t from, uint64_t end) const;

 private:
  static constexpr uint64_t kChunk = 16384;  // clusters

  // A set of clusters of a chunk. Mostly all of those that are counted are in it, or none: it
  // keeps which, and the exceptions.
  struct Marks {
    bool at(uint16_t i) const;
    void set(uint16_t i, bool value);

    bool rest = false;            // what those are that are no exception
    bool dense = false;           // words are bits, one a cluster; else they are the exceptions
    std::vector<uint64_t> words;  // exceptions: at most kExceptions of them
  };
  struct Chunk {
    uint32_t order = 0;
    std::vector<std::byte> counts;
    Marks copied, plain;
    uint64_t memory() const;
  };
  using Chunks = std::map<uint64_t, Chunk>;

  Chunk& chunk_for(uint64_t number, Pointer kind);
  const Chunk* find(uint64_t number) const;
  static void widen(Chunk& chunk, uint64_t value);
  void shrink_window();

  const uint64_t memory_;
  uint64_t first_ = 0, last_ = 0;
  uint64_t used_ = 0;
  Chunks chunks_;
  // The chunk used last: pointers mostly go to neighbours.
  mutable uint64_t recent_number_ = 0;
  mutable const Chunk* recent_ = nullptr;
};

}  // namespace platter::qcow2
