// Which sectors of a stretch of the file are in use.
#pragma once

#include <vector>

#include "formats/qcow/layout.h"

namespace platter::qcow {

// Clusters and tables begin at sectors and are alone in theirs. Compressed streams may share
// sectors with one another.
class SectorMap {
 public:
  static constexpr uint64_t kBytes = 32 * GiB;  // of the file
  enum class Use : unsigned char { alone, stream };

  // file_size: bytes; what lies behind it is not kept.
  explicit SectorMap(uint64_t file_size);

  // Forgets everything; first: a multiple of a sector, where the stretch begins.
  void start(uint64_t first);
  uint64_t first() const { return first_; }
  uint64_t end() const { return first_ + kBytes; }

  // False: some of the range was in use in a way that excludes this one. Parts outside the stretch,
  // and a little behind it, are not looked at.
  bool add(const Range& range, Use use);
  // Takes it for used, whatever it was.
  void mark(const Range& range);

  // How many clusters of this size, which lie whole in range, have no sector in use. range: inside
  // the stretch.
  uint64_t unused(const Range& range, uint64_t cluster_size) const;

 private:
  using Bits = std::vector<uint64_t>;
  static bool has(const Bits& bits, size_t i) { return (bits[i / 64] >> (i % 64) & 1) != 0; }
  static void set(Bits& bits, size_t i) { bits[i / 64] |= uint64_t{1} << (i % 64); }
  // Where the first used sector is from at on, bytes; the end of what is kept when there is none.
  uint64_t next_used(uint64_t at) const;
  // The sectors of range there are bits for: from, to.
  std::pair<size_t, size_t> sectors(const Range& range) const;

  const uint64_t file_size_;
  uint64_t first_ = 0;
  size_t sectors_ = 0;  // there are bits for
  Bits alone_, stream_;
};

}  // namespace platter::qcow
