// The grains of a stream whose footer is missing, found by their markers.
#pragma once

#include <string>
#include <vector>

#include "formats/vmdk/grain_layout.h"
#include "lib/io/file.h"

namespace platter::vmdk {

// Constant after it was made.
class StreamGrains {
 public:
  // Walks from marker to marker, from the first grain to the end of the stream or to what is no
  // marker, or a grain that is cut off or does not come behind the one before. Time and memory (16
  // bytes a grain) grow with the file. Errc::unsupported: more than 2^24 grains.
  static Result<StreamGrains> scan(const File& file, const GrainLayout& layout);

  struct Run {
    uint64_t grains = 1;
    uint64_t host = 0;    // bytes; 0: nothing is stored of these grains
    uint64_t stored = 0;  // bytes, with the marker
  };
  // limit: grains that are asked for.
  Run run_at(uint64_t grain, uint64_t limit) const;

  // "n grains were found, up to byte n of n".
  std::string description() const;

 private:
  struct Found {
    uint64_t grain = 0;
    uint64_t place = 0;  // sectors: those it takes, above the 40 bits of where it begins
  };
  std::vector<Found> found_;  // by grain
  uint64_t end_ = 0, file_size_ = 0;
};

}  // namespace platter::vmdk
