// The tables of a sparse extent put right.
#pragma once

#include "formats/vmdk/grain_scan.h"

namespace platter::vmdk {

// The mark of who writes an extent, in its header. Durable when set; when cleared with its next
// sync.
Result<void> mark_unclean(File& file);
Result<void> clear_unclean(File& file);

// Makes directories and tables agree, by what the scan found: a table that one directory alone has
// is copied, in place of one that nobody has an empty one comes; an entry that cannot be right is
// what the redundant table has, if that can be, or nothing; redundant tables become what the others
// are. Durable with the file's next sync; a crash leaves nothing worse. The extent is marked
// unclean before, and stays it.
Result<void> mend_tables(File& file, const SparseHeader& header);

// What is in the file once nothing of it is wrong. In an extent that is marked unclean, what a
// writer leaves that was cut off is mended first: entries in one of two tables, grains past the end
// of the file. Errc::corrupt: anything else is wrong.
Result<GrainScan> sound_scan(File& file, const SparseHeader& header);

// Moves grains from the end of the file into blocks that nobody uses, and cuts the rest off, which
// is durable with the next sync; what was written before is. The tables are sound. What cannot be
// moved stays.
Result<void> close_gaps(File& file, const SparseHeader& header);

}  // namespace platter::vmdk
