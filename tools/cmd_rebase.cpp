#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/ops/rebase.h"
#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/progress_line.h"

namespace platter {
namespace {

class RebaseCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    source_.define(app);
    key_.define(app);
    app.add_option("--parent", args_.parent, "the image's new parent")->type_name("P")->required();
    app.add_option("--parent-format", args_.parent_format, "what P is; without it, it is found out")
        ->type_name("FMT");
    app.add_flag("--unsafe", unsafe_, "change the name alone, whatever P shows");
    define_threads(app, args_.threads, "how many threads read and compare");
    define_progress(app, progress_);
    app.add_option("IMAGE", args_.path)->required();
  }

  Result<void> check() override {
    TRY(source_.check());
    TRY(key_.check());
    TRY(check_format_name(args_.parent_format));
    args_.format = source_.options().format;
    args_.references = source_.options().references;
    return {};
  }

  Result<int> run(Console& console) override {
    console.progress_json = !progress_.empty();
    RebaseReport report;
    if (unsafe_) {
      TRY(relink(args_));
    } else {
      ProgressLine progress(console);
      args_.keys = key_.source();
      report = TRY(rebase(args_, progress));
    }
    print(console, report);
    return 0;
  }

  bool changes_an_image() const override { return true; }
  std::vector<std::string> files() const override { return {args_.path, args_.parent}; }

 private:
  void print(Console& console, const RebaseReport& report) const {
    if (console.json) {
      const nlohmann::json object = {{"file", printable(args_.path)},
                                     {"parent", printable(args_.parent)},
                                     {"copied", report.copied}};
      console.out << object.dump(2) << '\n';
    } else if (!console.quiet && !unsafe_) {
      console.out << fmt::format("{}: on {} now, {} copied\n", printable(args_.path),
                                 printable(args_.parent), human_size(report.copied));
    }
  }

  SourceArguments source_;
  KeyArguments key_;
  RebaseArgs args_{.threads = default_threads()};
  std::string progress_;
  bool unsafe_ = false;
};

}  // namespace

CommandEntry rebase_command() {
  return {
      .name = "rebase",
      .arguments = "--parent P [options] IMAGE",
      .summary = "give an image another parent",
      .details =
          "The disk stays what it is: what P shows otherwise than the old parent is copied into\n"
          "IMAGE first. With --unsafe only the name changes, for a parent that was moved.",
      .make = [] { return std::unique_ptr<Command>(new RebaseCommand); }};
}

}  // namespace platter
