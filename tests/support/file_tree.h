// Trees of files whose contents follow from a number, so that they are known again later.
#pragma once

#include <cstdint>
#include <string>

namespace platter::test {

// Bytes that repeat nowhere; seed tells files apart.
std::string file_contents(uint64_t seed, size_t size);

// Files in directories of a hundred. Most are of a few KiB, one in a hundred of some hundred.
struct FileTree {
  std::string root;
  unsigned files = 0;
  uint64_t seed = 0;

  // What could not be written; empty: all is.
  std::string write() const;
  // The first file that is not as it was written; empty: all are, and no other is there.
  std::string difference() const;
};

}  // namespace platter::test
