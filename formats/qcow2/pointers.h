// Pointers: everything in an image that names a place of its file, by what is there.
#pragma once

#include "formats/qcow2/check_census.h"

namespace platter::qcow2 {

// Kinds of places. What points at one of a kind lies in none of that kind.
enum class Placed : unsigned char {
  data,       // of the disk and its snapshots, compressed or not, and of bitmaps
  l2_table,   // of all of them
  table,      // L1 tables, the refcount table, bitmaps' tables
  directory,  // the snapshot table, the bitmap directory
  refcount_block,
};

struct PointerTo {
  Range place;           // bytes of the file, as a check holds them
  uint64_t uses = 1;     // as many as there are to the table this one is in
  bool is_disk = false;  // guest data as it is: where anything is encrypted it is
  uint64_t down = 0;     // bytes that the visitor takes off it; the file says so then
};
using VisitPointer = std::function<Result<void>(PointerTo&)>;

// Those to places of one kind, but for the header and the LUKS header, which stay where they are.
// image: of file as it is, and without faults but for leaks. Each write changes pointers as a
// whole. Memory: that of a TableWalk.
Result<void> for_each_pointer(File& file, const CheckedImage& image, Placed what,
                              const VisitPointer& visit);

}  // namespace platter::qcow2
