// Opening what is mounted: for writing where that is wanted and possible.
#pragma once

#include <memory>
#include <string>

#include "fusefs/options.h"

namespace platter::fusefs {

struct Opened {
  std::unique_ptr<Container> container;
  std::string refusal;  // why it is not open for writing though that was wanted; else empty
};

// An image that cannot be written is opened for reading.
Result<Opened> open_container(const MountOptions& options);

// One line on standard error for what the user should know: that the mount is read-only, that a
// format was guessed, what is odd about an image.
void tell_about(const Opened& opened);

}  // namespace platter::fusefs
