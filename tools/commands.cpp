#include <algorithm>
#include <array>

#include "tools/command.h"

namespace platter {

#define COMMAND(name) CommandEntry name##_command();
#include "tools/commands.inc"
#undef COMMAND

std::span<const CommandEntry> all_commands() {
#define COMMAND(name) name##_command(),
  static const std::array commands = {
#include "tools/commands.inc"
  };
#undef COMMAND
  return commands;
}

const CommandEntry* find_command(std::string_view name) {
  const auto commands = all_commands();
  const auto found = std::ranges::find_if(commands, [&](const CommandEntry& entry) {
    return entry.name == name || (!entry.alias.empty() && entry.alias == name);
  });
  return found == commands.end() ? nullptr : &*found;
}

}  // namespace platter
