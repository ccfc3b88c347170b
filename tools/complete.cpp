#include "tools/complete.h"

#include <algorithm>
#include <map>
#include <memory>

#include <CLI/CLI.hpp>

#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/complete_value.h"

namespace platter {
namespace {

// What the words before the last one say.
struct Before {
  std::vector<std::string> operands;
  std::map<const CLI::Option*, std::string> values;
  const CLI::Option* waiting = nullptr;  // for its value, which is the last word
  bool only_operands = false;            // after "--"
};

// A flag's value has no name.
bool takes_value(const CLI::Option& option) { return !option.get_type_name().empty(); }

Before read_before(const CLI::App& app, const std::vector<std::string>& words) {
  Before before;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (before.waiting != nullptr) {
      before.values[before.waiting] = word;
      before.waiting = nullptr;
    } else if (before.only_operands || word.size() < 2 || word[0] != '-') {
      before.operands.push_back(word);
    } else if (word == "--") {
      before.only_operands = true;
    } else {
      const size_t end = word[1] == '-' ? std::min(word.find('='), word.size()) : 2;
      const CLI::Option* const option = app.get_option_no_throw(word.substr(0, end));
      if (option == nullptr || !takes_value(*option)) continue;
      if (end == word.size()) {
        before.waiting = option;
      } else {
        before.values[option] = word.substr(word[end] == '=' ? end + 1 : end);
      }
    }
  }
  return before;
}

class CommandLine {
 public:
  CommandLine(Offers& offers, const CommandEntry& entry, const CLI::App& app,
              const std::vector<std::string>& words)
      : offers_(offers), entry_(entry), app_(app), before_(read_before(app, words)) {}

  bool complete() {
    const std::string& typed = offers_.typed();
    if (before_.waiting != nullptr) return value(*before_.waiting, "");
    if (before_.only_operands || !typed.starts_with('-')) return operand();
    const size_t equals = typed.find('=');
    if (equals == std::string::npos) return options();
    const CLI::Option* const option = app_.get_option_no_throw(typed.substr(0, equals));
    return option == nullptr || value(*option, typed.substr(0, equals + 1));
  }

 private:
  bool options() {
    for (const CLI::Option* option : app_.get_options()) {
      if (!option->nonpositional()) continue;
      for (const std::string& name : option->get_snames()) {
        offers_.add("-" + name, option->get_description());
      }
      for (const std::string& name : option->get_lnames()) {
        offers_.add("--" + name, option->get_description());
      }
    }
    return true;
  }

  bool value(const CLI::Option& option, const std::string& prefix) {
    const std::string kind = option.get_type_name();
    if (kind != "KEY=VALUE[,...]") return offers_.add_values(kind, prefix, image());
    if (prefix.empty()) offers_.add_format_options(new_format(), entry_.name == "amend");
    return true;
  }

  bool operand() {
    std::vector<const CLI::Option*> positional;
    for (const CLI::Option* option : app_.get_options()) {
      if (option->get_positional()) positional.push_back(option);
    }
    if (positional.empty()) return true;
    // The last of them may be given more than once.
    const size_t at = before_.operands.size();
    if (at >= positional.size() && positional.back()->get_items_expected_max() < 2) return true;
    const std::string kind = positional[std::min(at, positional.size() - 1)]->get_name();
    if (kind == "ACTION") {
      return offers_.add_values(entry_.arguments.substr(0, entry_.arguments.find(' ')), "", "");
    }
    // It is to be a new one.
    if (kind == "NAME" && at > 0 && before_.operands.front() == "create") return true;
    return offers_.add_values(kind, "", image());
  }

  // The image that the words before name.
  std::string image() const {
    const size_t at = entry_.name == "snapshot" ? 1 : 0;
    return before_.operands.size() > at ? before_.operands[at] : std::string();
  }

  // That an image is made in.
  std::string new_format() const {
    const CLI::Option* option = app_.get_option_no_throw("--output-format");
    if (option == nullptr) option = app_.get_option_no_throw("--format");
    const auto found = before_.values.find(option);
    return found == before_.values.end() ? std::string() : found->second;
  }

  Offers& offers_;
  const CommandEntry& entry_;
  const CLI::App& app_;
  const Before before_;
};

bool complete_command(std::ostream& out, Offers& offers, const CommandEntry& entry,
                      const std::vector<std::string>& words) {
  if (entry.passes_on) return complete_mount(offers, words);
  Console console{.out = out, .err = out};
  const std::unique_ptr<Command> command = entry.make();
  CLI::App app;
  command->define(app);
  define_common_options(app, console);
  return CommandLine(offers, entry, app, words).complete();
}

}  // namespace

int complete(std::ostream& out, const std::vector<std::string>& words) {
  if (words.empty()) return 0;
  Offers offers(out, words.back());
  if (words.size() == 1 || (words.size() == 2 && words.front() == "help")) {
    for (const CommandEntry& entry : all_commands()) offers.add(entry.name, entry.summary);
    if (words.size() > 1) return 0;
    offers.add("help", "say more about a command");
    offers.add("--help", "print the commands and exit");
    offers.add("--version", "print the version and exit");
    return 0;
  }
  const CommandEntry* const entry = find_command(words.front());
  if (entry == nullptr) return 0;
  return complete_command(out, offers, *entry, {words.begin() + 1, words.end()}) ? 0 : 1;
}

}  // namespace platter
