#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/ops/rebase.h"
#include "tools/arguments.h"
#include "tools/command.h"

namespace platter {
namespace {

class RebaseCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    define_format(app, args_.format);
    app.add_option("--parent", args_.parent, "the image's new parent")->type_name("P")->required();
    app.add_option("--parent-format", args_.parent_format, "what P is; without it, it is found out")
        ->type_name("FMT");
    app.add_option("--references", references_,
                   "which files P may name, and then IMAGE: none, beside (it), any")
        ->type_name("WHICH");
    app.add_flag("--unsafe", unsafe_, "change the reference alone")->required();
    app.add_option("IMAGE", args_.path)->required();
  }

  Result<void> check() override {
    TRY(check_format_name(args_.format));
    TRY(check_format_name(args_.parent_format));
    args_.references = TRY(parse_references(references_));
    return {};
  }

  Result<int> run(Console& console) override {
    TRY(relink(args_));
    if (console.json) {
      console.out << nlohmann::json{{"file", printable(args_.path)},
                                    {"parent", printable(args_.parent)}}
                         .dump(2)
                  << '\n';
    }
    return 0;
  }

  bool changes_an_image() const override { return true; }
  std::vector<std::string> files() const override { return {args_.path, args_.parent}; }

 private:
  RebaseArgs args_;
  std::string references_ = "beside";
  bool unsafe_ = false;
};

}  // namespace

CommandEntry rebase_command() {
  return {
      .name = "rebase",
      .arguments = "--unsafe --parent P [options] IMAGE",
      .summary = "name another parent",
      .details =
          "For a parent that was moved or renamed, or a copy of it: only the reference in IMAGE\n"
          "changes. The disk stays what it was if P shows what the old parent did.",
      .make = [] { return std::unique_ptr<Command>(new RebaseCommand); }};
}

}  // namespace platter
