// ImageChain: images of the host that stand on one another, with data, zeroes and nothing in each,
// in pieces that are no blocks.
#pragma once

#include <string>
#include <vector>

#include "lib/base/range.h"

namespace platter::test {

struct ChainPart {
  std::string format;
  std::string options = {};  // "cluster_size=512,…"
  uint64_t size = 0;         // of its disk, bytes; 0: as the one below, or kChainSize
};

inline constexpr uint64_t kChainSize = 3 * MiB + 512;

class ImageChain {
 public:
  // parts: from the base up. Throws when one cannot be made.
  ImageChain(std::string directory, const std::vector<ChainPart>& parts, unsigned seed = 1);

  size_t count() const { return paths_.size(); }
  // 0: the top.
  const std::string& operator[](size_t depth) const { return paths_[depth]; }
  // Another image on that one, with data of its own.
  std::string add_child(size_t depth, const ChainPart& part, const std::string& name) const;

 private:
  const std::string directory_;
  std::vector<std::string> paths_;  // the top first
};

// What an image shows; empty when it does not open or cannot be read.
std::vector<std::byte> disk_of(const std::string& path);
// Why it does not open; empty: it does.
std::string fault_of(const std::string& path);
// Writes random pieces; throws when that fails.
void write_pieces(const std::string& path, unsigned seed);

}  // namespace platter::test
