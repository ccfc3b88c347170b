#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/ops/amend.h"
#include "tools/arguments.h"
#include "tools/command.h"

namespace platter {
namespace {

class AmendCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    define_format(app, format_);
    define_options(app, option_words_);
    key_.define(app);
    app.add_option("IMAGE", path_)->required();
  }

  Result<void> check() override {
    TRY(check_format_name(format_));
    TRY(key_.check());
    options_ = TRY(parse_options(option_words_));
    if (!options_.empty()) return {};
    return Error(Errc::invalid, "-o is required: there is nothing else to change");
  }

  Result<int> run(Console& console) override {
    TRY(amend_image({.path = path_,
                     .format = format_,
                     .options = options_,
                     .keys = key_.given() ? key_.source() : nullptr}));
    if (console.json) {
      console.out << nlohmann::json{{"file", printable(path_)}}.dump(2) << '\n';
    }
    return 0;
  }

  bool changes_an_image() const override { return true; }
  std::vector<std::string> files() const override { return {path_}; }

 private:
  std::string format_, path_;
  std::vector<std::string> option_words_;
  Options options_;
  KeyArguments key_;
};

}  // namespace

CommandEntry amend_command() {
  return {
      .name = "amend",
      .arguments = "-o KEY=VALUE,... [options] IMAGE",
      .summary = "change the version or the features of an image",
      .details =
          "qcow2: compat=0.10 or 1.1, and lazy_refcounts=on or off, as qemu-img amend has them. "
          "What\n"
          "an older version cannot say is refused, but for zero clusters, which are written out.\n"
          "Contents stay as they are. A crash leaves the old kind of image or the new one.",
      .make = [] { return std::unique_ptr<Command>(new AmendCommand); }};
}

}  // namespace platter
