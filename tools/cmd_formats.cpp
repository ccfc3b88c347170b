#include <algorithm>
#include <array>
#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/ops/formats.h"
#include "tools/command.h"

namespace platter {
namespace {

using nlohmann::json;

std::string joined(const json& words) {
  const auto list = words.get<std::vector<std::string>>();
  return fmt::format("{}", fmt::join(list, " "));
}

// "yes" and the variants behind it.
std::string creates(const json& format) {
  if (!format.at("create").get<bool>()) return "no";
  const std::string variants = joined(format.at("variants"));
  return variants.empty() ? "yes" : "yes: " + variants;
}

const char* yes_no(const json& value) { return value.get<bool>() ? "yes" : "no"; }

// What is said by yes or no, as the JSON calls it.
constexpr std::array<const char*, 8> kAbilities = {"read",    "write", "diff",   "resize",
                                                   "compact", "check", "repair", "encrypt"};

void print_markdown(std::ostream& out, const json& formats) {
  out << fmt::format("| format | extensions | {} | create |\n", fmt::join(kAbilities, " | "));
  out << "|---|---|---|---|---|---|---|---|---|---|---|\n";
  for (const json& f : formats) {
    out << fmt::format("| `{}` | {} |", f.at("name").get<std::string>(),
                       joined(f.at("extensions")));
    for (const char* ability : kAbilities) out << fmt::format(" {} |", yes_no(f.at(ability)));
    out << fmt::format(" {} |\n", creates(f));
  }
}

void print_text(std::ostream& out, const json& formats) {
  out << fmt::format("{:<10}{:<28}", "FORMAT", "EXTENSIONS");
  for (std::string ability : kAbilities) {
    std::ranges::transform(ability, ability.begin(),
                           [](char c) { return static_cast<char>(c - 'a' + 'A'); });
    out << fmt::format("{:<8}", ability);
  }
  out << "CREATE\n";
  for (const json& f : formats) {
    out << fmt::format("{:<10}{:<28}", f.at("name").get<std::string>(), joined(f.at("extensions")));
    for (const char* ability : kAbilities) out << fmt::format("{:<8}", yes_no(f.at(ability)));
    out << creates(f) << '\n';
  }
}

class FormatsCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    app.add_flag("--markdown", markdown_, "print a table for a Markdown page");
  }

  Result<int> run(Console& console) override {
    const json formats = describe_formats();
    if (console.json) {
      console.out << formats.dump(2) << '\n';
    } else if (markdown_) {
      print_markdown(console.out, formats);
    } else {
      print_text(console.out, formats);
    }
    return 0;
  }

 private:
  bool markdown_ = false;
};

}  // namespace

CommandEntry formats_command() {
  return {.name = "formats",
          .arguments = "[options]",
          .summary = "list the formats and what can be done with them",
          .details = "The words behind \"create\" are what -o subformat=NAME takes.",
          .make = [] { return std::unique_ptr<Command>(new FormatsCommand); }};
}

}  // namespace platter
