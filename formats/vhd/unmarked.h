// Sectors that hold data, while the bitmap of their block says that nobody wrote them. Of a dynamic
// disk programs that look at the bits show zeroes there, and others (QEMU, Platter) the data.
#pragma once

#include "formats/vhd/table_scan.h"
#include "lib/image/check.h"

namespace platter::vhd {

// Reports a leak a block that has some: nothing is lost by it here. Reads what has no bit set.
Result<void> find_unmarked(const File& file, const Parsed& parsed, const TableScan& scan,
                           CheckReport& report);

// Sets all bits of those blocks; not durable before a sync.
Result<void> mark_all(File& file, const Parsed& parsed, const TableScan& scan);

// Of a differencing disk, where they are not seen: makes them zero. Not durable before a sync.
Result<void> zero_unmarked(File& file, const Parsed& parsed, const TableScan& scan);

}  // namespace platter::vhd
