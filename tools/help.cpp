#include "tools/help.h"

#include <cctype>
#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace platter {
namespace {

// "-f, --format FMT"
std::string option_words(const CLI::Option& option) {
  std::string words;
  for (const std::string& name : option.get_snames()) words += fmt::format("-{}", name);
  for (const std::string& name : option.get_lnames()) {
    words += fmt::format("{}--{}", words.empty() ? "    " : ", ", name);
  }
  if (option.get_type_size() != 0) words += " " + option.get_type_name();
  return words;
}

}  // namespace

void print_help(std::ostream& out) {
  out << "usage: platter COMMAND [options] ...\n\n"
         "Looks into virtual disk images, copies and makes them.\n\n";
  for (const CommandEntry& command : all_commands()) {
    out << fmt::format("  {:<10}{}\n", command.name, command.summary);
  }
  out << "\n`platter help COMMAND` says more about one of them; `platter --version` says which "
         "version this is.\n";
}

void print_help(std::ostream& out, const CommandEntry& command, const CLI::App& app) {
  std::string summary(command.summary);
  summary.front() = static_cast<char>(std::toupper(summary.front()));
  out << fmt::format("usage: platter {} {}\n\n{}.\n", command.name, command.arguments, summary);
  if (!command.details.empty()) out << command.details << '\n';
  if (!command.alias.empty()) out << fmt::format("`platter {}` is the same.\n", command.alias);
  out << '\n';
  constexpr size_t kColumn = 30;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->nonpositional()) continue;
    const std::string words = option_words(*option);
    out << fmt::format("  {:<{}}", words, kColumn);
    if (words.size() >= kColumn) out << fmt::format("\n  {:<{}}", "", kColumn);
    out << option->get_description() << '\n';
  }
}

}  // namespace platter
