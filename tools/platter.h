// The program `platter` as a function.
#pragma once

#include "tools/console.h"

namespace platter {

// argv[0] is the program's name. The exit status: 0, 1 for a failure, 2 for wrong usage, or what
// the command defines; 128 + n after signal n asked it to end.
int platter_main(int argc, const char* const* argv, Console console);

}  // namespace platter
