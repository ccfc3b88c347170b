#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/ops/set.h"
#include "tools/arguments.h"
#include "tools/command.h"

namespace platter {
namespace {

class SetCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    define_format(app, format_);
    app.add_option("IMAGE", path_)->required();
    app.add_option("KEY=VALUE", words_)->required();
  }

  Result<void> check() override {
    TRY(check_format_name(format_));
    values_ = TRY(parse_metadata(words_));
    return {};
  }

  Result<int> run(Console& console) override {
    TRY(set_metadata({.path = path_, .format = format_, .values = values_}));
    if (console.json) {
      console.out << nlohmann::json{{"file", printable(path_)}}.dump(2) << '\n';
    }
    return 0;
  }

  bool changes_an_image() const override { return true; }
  std::vector<std::string> files() const override { return {path_}; }

 private:
  std::string format_, path_;
  std::vector<std::string> words_;
  Metadata values_;
};

}  // namespace

CommandEntry set_command() {
  return {
      .name = "set",
      .arguments = "[options] IMAGE KEY=VALUE...",
      .summary = "change what an image says of itself",
      .details =
          "Keys: uuid, modification-uuid, parent-uuid, parent-modification-uuid (\"random\" draws\n"
          "one), comment, geometry-lchs and geometry-pchs (C/H/S). All of the values are set or,\n"
          "when one is refused, none.",
      .make = [] { return std::unique_ptr<Command>(new SetCommand); }};
}

}  // namespace platter
