// The corpus of real images: what its manifest says of each.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace platter::test {

struct CorpusImage {
  std::string path;    // absolute
  std::string name;    // as the manifest has it
  std::string format;  // of the top image
  std::string size;    // of the disk, decimal
  std::string digest;  // sha256 or nz64k:…
  std::string expect;  // "open", "refuse(why)", "needs-password…"
  std::string stored;  // "plain", "gz", "bz2"
};

// Those whose format this build reads, in the manifest's order. Empty: there is no corpus.
std::vector<CorpusImage> corpus_images();

inline void PrintTo(const CorpusImage& image, std::ostream* out) { *out << image.name; }

// For the name of a parameterised test.
std::string test_name_of(const CorpusImage& image);

// Size, time and digest of every file in the image's directory that belongs to it: to see that
// nothing was changed.
std::string fingerprint(const CorpusImage& image);

}  // namespace platter::test
