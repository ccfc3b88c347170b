#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/ops/merge.h"
#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/progress_line.h"

namespace platter {
namespace {

class MergeCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    source_.define(app);
    key_.define(app);
    app.add_option("--into", into_, "the ancestor that takes the data; without it, the parent")
        ->type_name("P");
    app.add_flag("--up", up_, "move the parents' data up instead: IMAGE stands on nothing then");
    app.add_option("--onto", onto_, "with --up: IMAGE stands on this ancestor then")
        ->type_name("P");
    app.add_option("--parent-format", args_.ancestor_format,
                   "what P is, where no image says so; without it, it is found out")
        ->type_name("FMT");
    app.add_option("--child", args_.children, "an image on IMAGE, to be taken along")
        ->type_name("IMAGE")
        ->expected(1)
        ->take_all();
    app.add_flag("--delete", args_.remove, "with --up: delete the images that are not needed then");
    define_threads(app, args_.threads, "how many threads read");
    define_progress(app, progress_);
    app.add_option("IMAGE", args_.path)->required();
  }

  Result<void> check() override {
    TRY(source_.check());
    TRY(key_.check());
    TRY(check_format_name(args_.ancestor_format));
    if (up_ && !into_.empty()) {
      return Error(Errc::invalid, "--into goes without --up only: --onto says where it ends");
    }
    if (!up_ && (!onto_.empty() || args_.remove)) {
      return Error(Errc::invalid,
                   fmt::format("{} goes with --up only", onto_.empty() ? "--delete" : "--onto"));
    }
    args_.ancestor = up_ ? onto_ : into_;
    args_.format = source_.options().format;
    args_.references = source_.options().references;
    return {};
  }

  Result<int> run(Console& console) override {
    console.progress_json = !progress_.empty();
    args_.keys = key_.source();
    MergeReport report;
    {
      ProgressLine progress(console);
      report = TRY(up_ ? merge_up(args_, progress) : merge_down(args_, progress));
    }
    print(console, report);
    return 0;
  }

  bool changes_an_image() const override { return true; }
  std::vector<std::string> files() const override {
    std::vector<std::string> files{args_.path};
    if (!args_.ancestor.empty()) files.push_back(args_.ancestor);
    files.insert(files.end(), args_.children.begin(), args_.children.end());
    return files;
  }

 private:
  void print(Console& console, const MergeReport& report) const {
    if (console.json) {
      nlohmann::json object = {
          {"file", printable(args_.path)}, {"target", printable(report.target)},
          {"virtual_size", report.size},   {"copied", report.copied},
          {"zeroed", report.zeroed},       {"deleted", nlohmann::json::array()}};
      for (const std::string& path : report.deleted) object["deleted"].push_back(printable(path));
      console.out << object.dump(2) << '\n';
    } else if (!console.quiet) {
      console.out << fmt::format("{}: has the whole disk now, {} copied\n",
                                 printable(report.target), human_size(report.copied));
      for (const std::string& path : report.deleted) {
        console.out << fmt::format("{}: deleted\n", printable(path));
      }
    }
  }

  SourceArguments source_;
  KeyArguments key_;
  MergeArgs args_{.threads = default_threads()};
  std::string into_, onto_, progress_;
  bool up_ = false;
};

}  // namespace

CommandEntry merge_command() {
  return {.name = "merge",
          .arguments = "[options] IMAGE",
          .summary = "move an image's data into its parent, or its parents' into it",
          .details =
              "The disk stays what it is. What IMAGE has, and the images between, is written into\n"
              "its parent, or the ancestor that --into names, and they are deleted. With --up\n"
              "IMAGE gets what its parents have, and needs them no more. Nothing is done while\n"
              "other images stand on what would change. It can be interrupted at any moment, and\n"
              "started again.",
          .make = [] { return std::unique_ptr<Command>(new MergeCommand); },
          .alias = "commit"};
}

}  // namespace platter
