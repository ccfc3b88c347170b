// Arguments that several commands share.
#pragma once

#include <string>
#include <vector>

#include "lib/container/container.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace platter {

// How to open an image to read: -f, --references.
class SourceArguments {
 public:
  void define(CLI::App& app);
  Result<void> check();
  ContainerOptions options() const;

 private:
  std::string format_;
  std::string references_ = "beside";
  References policy_ = References::beside;
};

// A format's name from the command line; empty is fine, what no format has is an error.
Result<void> check_format_name(const std::string& name);
// The names of all formats, for messages.
std::string format_names();

// "-o a=b,c=d" once or more often; ",," is a comma, a word without "=" is "on".
Result<Options> parse_options(const std::vector<std::string>& words);
void define_options(CLI::App& app, std::vector<std::string>& words);

// Processors this process may use; at least 1.
unsigned default_threads();

}  // namespace platter
