// A VHDX whose blocks lie side by side at the start of its file.
#pragma once

#include "formats/vhdx/parse.h"
#include "lib/base/progress.h"

namespace platter::vhdx {

// By the rules of Image::compact(). header: of file as parse_for_change() gives it. Places of
// blocks that read as zeroes, and those kept for blocks without data, are given up.
// Errc::unsupported: it is fixed; corrupt, with nothing changed: its BAT has faults. Memory: a bit
// a MiB of the file, and some MiB.
Result<void> compact(const FilePtr& file, const Parsed& header, Progress& progress);

}  // namespace platter::vhdx
