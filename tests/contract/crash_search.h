// A search for a moment at which a power cut does harm.
#pragma once

#include "tests/contract/subject.h"

namespace platter::test {

struct SearchOutcome {
  uint64_t states = 0;               // power cuts looked at
  std::optional<std::string> fault;  // of the first that did harm
};

// Puts a file around the one on which power is lost.
using Wrap = std::function<FilePtr(FilePtr)>;

// Looks at that many power cuts, in the lives of random disks: sessions of writes, zeroes, discards
// and flushes, each ended by a close or by a power cut after which the life goes on with what is
// left; between them the disk grows, is repaired or compacted, or its snapshots change. Power is
// lost after each operation, and at every single call to the file in the first one of a session, in
// every eighth, and in all that happens between sessions. A disk may then read as it did at the
// last flush, or as any write since has made it, at its old size or the new one; each snapshot
// reads as the disk did when it was taken; its check finds nothing but leaks, and none after a
// repair.
enum class Between : unsigned char {
  anything,
  snapshots,  // and short sessions
};
SearchOutcome search_crashes(const Subject& subject, uint64_t states, const Wrap& wrap = {},
                             Between between = Between::anything);

}  // namespace platter::test
