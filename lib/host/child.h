// Child: another program run to its end, its complaints kept.
#pragma once

#include <string>
#include <vector>

#include "lib/base/result.h"

namespace platter {

struct ChildResult {
  int status = 0;      // as a shell gives it: the exit status, or 128 + the signal
  std::string errors;  // what it wrote to standard error, at most 64 KiB
  std::string output;  // the same of standard output, when it is kept
};

// words: the program, found through PATH unless it has a slash, and its arguments. What it leaves
// running behind it is not waited for. Its messages are in English.
Result<ChildResult> run_child(const std::vector<std::string>& words, bool keep_output = false);

// Becomes that program; returns only when it cannot.
Error become(const std::vector<std::string>& words);

}  // namespace platter
