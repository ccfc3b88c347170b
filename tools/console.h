// Console: where a command's words go, and how much of them is wanted.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace platter {

struct Console {
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;
  bool colours = false;  // out is a terminal, and nobody has forbidden them
  bool json = false;
  bool quiet = false;
  bool read_only = false;  // no image may change
  bool progress_json = false;

  // The one line of an error on err; with json also the object on out. files: what the command
  // line named: the one the message begins with, else the first, is the object's "file".
  void report(const Error& error, const std::vector<std::string>& files);
};

}  // namespace platter
