#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/ops/move.h"
#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/progress_line.h"

namespace platter {
namespace {

class MoveCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    source_.define(app);
    app.add_option("--child", args_.children, "an image on SRC, that names it anew")
        ->type_name("IMAGE")
        ->expected(1)
        ->take_all();
    define_progress(app, progress_);
    app.add_option("IMAGE", args_.path)->required();
    app.add_option("FILE", args_.to)->required();
  }

  Result<void> check() override {
    TRY(source_.check());
    args_.format = source_.options().format;
    args_.references = source_.options().references;
    return {};
  }

  Result<int> run(Console& console) override {
    console.progress_json = !progress_.empty();
    MoveReport report;
    {
      ProgressLine progress(console);
      report = TRY(move_image(args_, progress));
    }
    if (console.json) {
      nlohmann::json object = {{"file", printable(args_.path)},
                               {"copied", report.copied},
                               {"files", nlohmann::json::array()}};
      for (const std::string& path : report.files) object["files"].push_back(printable(path));
      console.out << object.dump(2) << '\n';
    }
    return 0;
  }

  bool changes_an_image() const override { return true; }
  std::vector<std::string> files() const override { return {args_.path, args_.to}; }

 private:
  SourceArguments source_;
  MoveArgs args_;
  std::string progress_;
};

}  // namespace

CommandEntry move_command() {
  return {.name = "move",
          .arguments = "[options] SRC DST",
          .summary = "give an image another name or place, with all its files",
          .details =
              "DST must not exist. It stands on the same parent as before. Nothing is done while\n"
              "other images stand on SRC and would not find it; those named by --child learn\n"
              "where it is. On another filesystem the files are copied, and deleted here.",
          .make = [] { return std::unique_ptr<Command>(new MoveCommand); }};
}

}  // namespace platter
