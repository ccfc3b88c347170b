// Who keeps files of a mount open.
#pragma once

#include <string>

namespace platter::fusefs {

// "process 123 (cat), /dev/loop0", as far as /proc and /sys let this user see; empty when they
// show nobody. mountpoint: an absolute path without symbolic links. Asks the mount itself nothing.
std::string holders_of(const std::string& mountpoint);

}  // namespace platter::fusefs
