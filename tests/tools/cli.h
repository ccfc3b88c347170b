// The tool called inside the test's own process.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tools/platter.h"

namespace platter::test {

struct Said {
  int status = -1;
  std::string out, err;

  // What is on standard output; discarded when it is no JSON.
  nlohmann::json json() const { return nlohmann::json::parse(out, nullptr, false); }
};

// words: behind the program's name.
inline Said cli(const std::vector<std::string>& words, bool terminal = false) {
  std::vector<const char*> argv = {"platter"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  std::ostringstream out, err;
  const int status = platter_main(static_cast<int>(argv.size()), argv.data(),
                                  {.out = out, .err = err, .err_is_terminal = terminal});
  return {status, out.str(), err.str()};
}

}  // namespace platter::test
