// Opening an image that is mounted: for writing where that is wanted and possible.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fusefs/options.h"

namespace platter::fusefs {

struct Opened {
  std::unique_ptr<Container> container;
  // What the user should know, a line each: that it is read-only, that a format was guessed, what
  // is odd about it.
  std::vector<std::string> remarks;
};

// access: an image that cannot be written is opened for reading. keys: used until it returns.
Result<Opened> open_container(const MountOptions& options, const std::string& image, Access access,
                              KeySource& keys);

}  // namespace platter::fusefs
