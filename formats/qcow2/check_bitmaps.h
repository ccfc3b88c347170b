// The clusters persistent dirty bitmaps are in.
#pragma once

#include <functional>

#include "formats/qcow2/check_findings.h"
#include "formats/qcow2/parse.h"

namespace platter::qcow2 {

// hold: of each run of bytes of the file that bitmaps use, directory and tables included. What
// cannot be followed is a fault (findings may be null); the rest is held.
Result<void> hold_bitmaps(const File& file, const Header& header,
                          const std::function<void(const Range&)>& hold, Findings* findings);

}  // namespace platter::qcow2
