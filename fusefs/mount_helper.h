// How the program was called: by a user as platterfs, or by mount(8) as its helper mount.platter.
#pragma once

#include <string>

#include "fusefs/options.h"
#include "lib/base/result.h"

namespace platter::fusefs {

struct ExitStatuses {
  int usage, failure;
  int permission, system;  // what kinds of failure mount(8) tells apart

  int of(const Error& error) const;
};

struct Call {
  Result<MountOptions> options;
  ExitStatuses statuses;
  std::string (*help)();
};

// argv as main() has it. Any name but mount.platter means platterfs.
Call call_of(int argc, char** argv);

}  // namespace platter::fusefs
