// One entry of an L1 or L2 table: what it holds of the file, and what is wrong with it.
#pragma once

#include <optional>

#include "formats/qcow2/l2.h"
#include "formats/qcow2/parse.h"

namespace platter::qcow2 {

L2Shape shape_of(const Header& header);

struct EntryPlace {
  uint64_t file_size = 0;  // bytes
  uint64_t guest = 0;      // of the entry's cluster, bytes
  bool active = false;     // in the disk's own tables: its COPIED flag counts
};

struct L2Check {
  Range held;            // of the image file, bytes; its clusters are in use. Empty: none
  bool flagged = false;  // the COPIED flag says whether the first of them is used once
  const char* fault = nullptr;
  // What to put in its place; none: nobody knows what was meant.
  std::optional<L2Entry> mended;
};
// Pure.
L2Check check_entry(const L2Shape& shape, const L2Entry& entry, const EntryPlace& place);

struct L1Check {
  Range held;
  bool followed = false;  // its L2 table can be read
  const char* fault = nullptr;
  std::optional<uint64_t> mended;
};
L1Check check_l1_entry(const L2Shape& shape, uint64_t word, uint64_t file_size);

}  // namespace platter::qcow2
