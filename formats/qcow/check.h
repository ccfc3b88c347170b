// The consistency of a qcow image.
#pragma once

#include "formats/qcow/parse.h"
#include "lib/image/check.h"

namespace platter::qcow {

// Corrupt: an entry that is unaligned or points outside the file, and tables and clusters that
// share bytes with one another or with the header. Leaked: clusters of the file that nothing points
// at. Memory: 16 MiB and some words a table. Time: one pass over the tables for each 32 GiB of the
// file that have something in them; a repair is up to four such rounds.
//
// Repair::leaks cuts what is leaked off the end of the file; Errc::corrupt, with nothing changed,
// when more is wrong. Repair::all: entries that cannot be right become 0 first; what comes first
// keeps what is shared. What is leaked in the middle of the file stays, and is in report. A crash
// leaves nothing worse than it was.
Result<void> check_image(File& file, const Header& header, Repair repair, CheckReport& report);

}  // namespace platter::qcow
