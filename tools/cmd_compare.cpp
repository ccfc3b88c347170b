#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/ops/compare.h"
#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/progress_line.h"

namespace platter {
namespace {

class CompareCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    source_.define(app);
    key_.define(app);
    second_key_.define(app, "second-");
    app.add_option("-F,--second-format", second_format_, "what B is; without it, it is found out")
        ->type_name("FMT");
    app.add_flag("-s,--strict", strict_, "disks of different sizes differ");
    define_threads(app, threads_, "how many threads read and decode");
    define_progress(app, progress_);
    app.add_option("A", a_)->required();
    app.add_option("B", b_)->required();
  }

  Result<void> check() override {
    TRY(source_.check());
    TRY(key_.check());
    TRY(second_key_.check());
    return check_format_name(second_format_);
  }

  Result<int> run(Console& console) override {
    console.progress_json = !progress_.empty();
    ContainerOptions options = source_.options();
    options.keys = key_.source();
    const auto a = TRY(Container::open(a_, options));
    options.format = second_format_;
    if (second_key_.given() || !key_.given()) options.keys = second_key_.source();
    const auto b = TRY(Container::open(b_, options));
    CompareReport report;
    {
      ProgressLine progress(console);
      report = TRY(compare({.a = a->live(), .b = b->live(), .strict = strict_, .threads = threads_},
                           progress));
    }
    print(console, report);
    return report.first_difference ? 1 : 0;
  }

  std::vector<std::string> files() const override { return {a_, b_}; }
  int error_status() const override { return 2; }

 private:
  void print(Console& console, const CompareReport& report) const {
    const auto& at = report.first_difference;
    if (console.json) {
      const nlohmann::json object = {
          {"same", !at},
          {"first_difference", at ? nlohmann::json(*at) : nlohmann::json(nullptr)},
          {"sizes_differ", report.sizes_differ}};
      console.out << object.dump(2) << '\n';
      return;
    }
    if (console.quiet) return;
    if (!at) {
      console.out << (report.sizes_differ ? "the same, but for zeroes at the end of one\n"
                                          : "the same\n");
    } else if (strict_ && report.sizes_differ) {
      console.out << fmt::format("they differ in size: one ends at offset {}\n", *at);
    } else {
      console.out << fmt::format("they differ first at offset {}\n", *at);
    }
  }

  SourceArguments source_;
  KeyArguments key_, second_key_;
  std::string second_format_, progress_, a_, b_;
  bool strict_ = false;
  unsigned threads_ = default_threads();
};

}  // namespace

CommandEntry compare_command() {
  return {
      .name = "compare",
      .arguments = "[options] A B",
      .summary = "tell whether two images show the same disk",
      .details =
          "Exits with 0 when they do, 1 when they differ, 2 when it cannot tell. A longer disk\n"
          "is the same when the rest of it reads as zeroes.",
      .make = [] { return std::unique_ptr<Command>(new CompareCommand); }};
}

}  // namespace platter
