// Help texts, made from the commands' own tables.
#pragma once

#include <iosfwd>

#include "tools/command.h"

namespace platter {

void print_help(std::ostream& out);
// app: with the command's options defined.
void print_help(std::ostream& out, const CommandEntry& command, const CLI::App& app);

}  // namespace platter
