#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/ops/check.h"
#include "tools/arguments.h"
#include "tools/command.h"

namespace platter {
namespace {

class CheckCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    define_format(app, format_);
    app.add_option("--repair", repair_, "mend what is found: leaks, all")
        ->type_name("WHAT")
        ->check(CLI::IsMember({"leaks", "all"}).description(""));
    app.add_option("IMAGE", path_)->required();
  }

  Result<void> check() override { return check_format_name(format_); }

  Result<int> run(Console& console) override {
    Repair repair = Repair::none;
    if (!repair_.empty()) repair = repair_ == "all" ? Repair::all : Repair::leaks;
    Result<CheckReport> report = check_image({.path = path_, .format = format_, .repair = repair});
    status_ = check_status(report);
    if (!report) return std::move(report.error());
    print(console, *report);
    return status_;
  }

  bool changes_an_image() const override { return !repair_.empty(); }
  std::vector<std::string> files() const override { return {path_}; }
  int error_status() const override { return status_; }

 private:
  void print(Console& console, const CheckReport& report) const {
    if (console.json) {
      nlohmann::json object = {{"file", printable(path_)}, {"corruptions", report.corruptions},
                               {"leaks", report.leaks},    {"repaired", report.repaired},
                               {"blocks", report.blocks},  {"messages", nlohmann::json::array()}};
      for (const std::string& message : report.messages) {
        object["messages"].push_back(printable(message));
      }
      console.out << object.dump(2) << '\n';
      return;
    }
    if (console.quiet) return;
    for (const std::string& message : report.messages) console.out << printable(message) << '\n';
    if (report.repaired != 0) console.out << fmt::format("{} repaired\n", report.repaired);
    if (report.corruptions + report.leaks == 0) {
      console.out << "no errors\n";
    } else {
      console.out << fmt::format("{} corruptions, {} leaked blocks\n", report.corruptions,
                                 report.leaks);
    }
  }

  std::string format_, repair_, path_;
  int status_ = 1;
};

}  // namespace

CommandEntry check_command() {
  return {
      .name = "check",
      .arguments = "[options] IMAGE",
      .summary = "look for what is wrong in an image, and mend it",
      .details =
          "Exits with 0 when nothing is wrong (any more), 1 when the check failed to run, 2 when\n"
          "the image is corrupt, 3 when it only holds blocks that nobody uses, 63 when images\n"
          "of its format cannot be checked.",
      .make = [] { return std::unique_ptr<Command>(new CheckCommand); }};
}

}  // namespace platter
