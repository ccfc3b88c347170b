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

void print_markdown(std::ostream& out, const json& formats) {
  out << "| format | extensions | read | create |\n|---|---|---|---|\n";
  for (const json& f : formats) {
    out << fmt::format("| `{}` | {} | {} | {} |\n", f.at("name").get<std::string>(),
                       joined(f.at("extensions")), yes_no(f.at("read")), creates(f));
  }
}

void print_text(std::ostream& out, const json& formats) {
  constexpr const char* kRow = "{:<10}{:<28}{:<6}{}\n";
  out << fmt::format(fmt::runtime(kRow), "FORMAT", "EXTENSIONS", "READ", "CREATE");
  for (const json& f : formats) {
    out << fmt::format(fmt::runtime(kRow), f.at("name").get<std::string>(),
                       joined(f.at("extensions")), yes_no(f.at("read")), creates(f));
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
