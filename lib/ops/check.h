// The consistency of one image, found out and mended.
#pragma once

#include <string>

#include "lib/base/result.h"
#include "lib/image/check.h"

namespace platter {

struct CheckArgs {
  std::string path;
  std::string format;  // empty: probe
  Repair repair = Repair::none;
};

// Looks at the named file alone; its parents are not opened. Locks it: Errc::busy when another
// program writes it or, to repair it, has it open at all. Errors name the file.
Result<CheckReport> check_image(const CheckArgs& args);

// The exit status of `platter check`: 0 nothing found that is not repaired, 1 the check failed to
// run, 2 corrupt, 3 leaks only, 63 the image cannot be checked.
int check_status(const Result<CheckReport>& outcome);

}  // namespace platter
