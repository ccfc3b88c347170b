// Command: one word after `platter`.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"
#include "tools/console.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace platter {

// One object serves one call.
class Command {
 public:
  virtual ~Command() = default;

  // Adds the options and arguments to app; their values land in members.
  virtual void define(CLI::App& app) = 0;
  // Are the values sensible by themselves? An error is wrong usage. Opens nothing.
  virtual Result<void> check() { return {}; }
  // The exit status. The error is printed by the caller, which then exits with error_status().
  virtual Result<int> run(Console& console) = 0;

  // An image that is there, in its contents or in what it says of itself; asked after check().
  virtual bool changes_an_image() const { return false; }

  virtual std::vector<std::string> files() const { return {}; }  // that the arguments name
  virtual int error_status() const { return 1; }
};

struct CommandEntry {
  std::string_view name;
  std::string_view arguments;  // for the usage line
  std::string_view summary;    // one line, for the list of all commands
  std::string_view details;    // the rest of its help; may be empty
  std::unique_ptr<Command> (*make)();
  // The words after the name belong to another program and are not parsed here.
  bool passes_on = false;
  std::string_view alias = {};  // another name; empty: none
};

std::span<const CommandEntry> all_commands();
const CommandEntry* find_command(std::string_view name);  // or alias; null: there is none

// What a passes_on command is given instead of options.
class PassingCommand : public Command {
 public:
  void define(CLI::App& /*app*/) final {}
  void take(std::vector<std::string> words) { words_ = std::move(words); }

 protected:
  std::vector<std::string> words_;
};

}  // namespace platter
