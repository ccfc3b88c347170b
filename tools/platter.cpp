#include "tools/platter.h"

#include <algorithm>
#include <new>
#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "lib/base/suggest.h"
#include "tools/arguments.h"
#include "tools/cancellation.h"
#include "tools/command.h"
#include "tools/complete.h"
#include "tools/help.h"

namespace platter {
namespace {

constexpr int kUsage = 2;

int fail(Console& console, const Error& error, const std::vector<std::string>& files, int status) {
  console.report(error, files);
  return status;
}

int wrong_usage(Console& console, std::string_view command, const std::string& what,
                const std::vector<std::string>& files = {}) {
  std::string line = what;
  std::ranges::replace(line, '\n', ' ');
  const std::string hint =
      command.empty() ? "platter --help" : fmt::format("platter help {}", command);
  return fail(console, Error(Errc::invalid, fmt::format("{} (see `{}`)", line, hint)), files,
              kUsage);
}

// What the first option that the command does not have may have been meant as.
std::string meant_option(const CLI::App& app) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  }
  const std::vector<std::string_view> names(known.begin(), known.end());
  for (const std::string& word : app.remaining()) {
    if (word.starts_with("--")) return did_you_mean(word.substr(0, word.find('=')), names);
  }
  return {};
}

int run_checked(Console& console, const CommandEntry& entry, Command& command) {
  if (Result<void> good = command.check(); !good) {
    return wrong_usage(console, entry.name, good.error().message(), command.files());
  }
  if (console.read_only && command.changes_an_image()) {
    return wrong_usage(console, entry.name, "--read-only: this would change the image",
                       command.files());
  }
  Result<int> status = command.run(console);
  if (status) return *status;
  if (status.error().code() == Errc::cancelled && Cancellation::signal() != 0) {
    return fail(console, status.error(), command.files(), 128 + Cancellation::signal());
  }
  return fail(console, status.error(), command.files(), command.error_status());
}

int run_parsed(Console& console, const CommandEntry& entry, std::vector<std::string> words) {
  const std::unique_ptr<Command> command = entry.make();
  CLI::App app;
  command->define(app);
  define_common_options(app, console);
  // Known before the parser stumbles: its own complaints are printed as asked for, too.
  console.json = std::ranges::find(words, "--json") != words.end();
  std::ranges::reverse(words);
  try {
    app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    print_help(console.out, entry, app);
    return 0;
  } catch (const CLI::CallForVersion& version) {
    console.out << version.what() << '\n';
    return 0;
  } catch (const CLI::ExtrasError& error) {
    return wrong_usage(console, entry.name, error.what() + meant_option(app));
  } catch (const CLI::ParseError& error) {
    return wrong_usage(console, entry.name, error.what());
  }
  return run_checked(console, entry, *command);
}

int run_command(Console& console, const CommandEntry& entry, std::vector<std::string> words) {
  if (!entry.passes_on) return run_parsed(console, entry, std::move(words));
  const std::unique_ptr<Command> command = entry.make();
  console.json = std::erase(words, "--json") != 0;
  dynamic_cast<PassingCommand&>(*command).take(std::move(words));
  return run_checked(console, entry, *command);
}

int dispatch(Console& console, std::vector<std::string> words) {
  if (words.empty()) return wrong_usage(console, "", "no command");
  const std::string first = words.front();
  words.erase(words.begin());
  if (first == "--version") {
    console.out << "platter " << PLATTER_VERSION << '\n';
    return 0;
  }
  if (first == "--help" || first == "-h" || (first == "help" && words.empty())) {
    print_help(console.out);
    return 0;
  }
  if (first == kCompleteWord) return complete(console.out, words);
  const std::string name = first == "help" ? words.front() : first;
  const CommandEntry* entry = find_command(name);
  if (entry == nullptr) {
    console.json = std::ranges::find(words, "--json") != words.end();
    std::vector<std::string_view> names;
    for (const CommandEntry& command : all_commands()) names.push_back(command.name);
    return wrong_usage(
        console, "",
        fmt::format("{}: there is no such command{}", name, did_you_mean(name, names)));
  }
  return run_command(console, *entry,
                     first == "help" ? std::vector<std::string>{"--help"} : std::move(words));
}

}  // namespace

int platter_main(int argc, const char* const* argv, Console console) {
  try {
    return dispatch(console, {argv + std::min(argc, 1), argv + argc});
  } catch (const std::bad_alloc&) {
    return fail(console, Error(Errc::io, "out of memory"), {}, 1);
  }
}

}  // namespace platter
