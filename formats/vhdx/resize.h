// A VHDX made larger or smaller.
#pragma once

#include "formats/vhdx/parse.h"

namespace platter::vhdx {

// size: of the disk, bytes; rounded up to whole sectors. file: its log is empty. The new part reads
// as zeroes, whatever a parent has there; the BAT moves to the end of the file when its region has
// no room for the new entries. A disk is cut only where no block has data. On return it is durable;
// a crash leaves the disk with the old size or the new one. Errc::unsupported: a fixed image is not
// cut, nor one that has data there; corrupt: the BAT has faults; invalid: no VHDX can be that
// large.
Result<void> resize(const FilePtr& file, const Parsed& header, uint64_t size);

}  // namespace platter::vhdx
