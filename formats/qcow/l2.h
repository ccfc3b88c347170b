// L2 entries: from the bits of one to what they say of a cluster's bytes.
#pragma once

#include "formats/qcow/parse.h"

namespace platter::qcow {

struct Cluster {
  enum class Kind : unsigned char {
    absent,      // the backing file's, or zeroes
    data,        // at host
    compressed,  // in the stream at host
    invalid,     // problem says why
  };
  Kind kind = Kind::absent;
  Range host;  // empty: none
  const char* problem = nullptr;
};

// Pure. What it names need not lie in the file.
Cluster decode(const Header& header, uint64_t entry);

}  // namespace platter::qcow
