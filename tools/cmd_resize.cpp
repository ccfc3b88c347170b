#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/ops/resize.h"
#include "tools/arguments.h"
#include "tools/command.h"

namespace platter {
namespace {

class ResizeCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    source_.define(app);
    key_.define(app);
    app.add_flag("--shrink", shrink_, "the disk may lose its end");
    app.add_option("IMAGE", path_)->required();
    app.add_option("SIZE", size_word_)->required();
  }

  Result<void> check() override {
    TRY(source_.check());
    TRY(key_.check());
    const auto change = parse_size_change(size_word_);
    if (!change) {
      return Error(Errc::invalid,
                   fmt::format("{}: is no size of a disk; 64M, +10G and -1G are", size_word_));
    }
    change_ = *change;
    return {};
  }

  Result<int> run(Console& console) override {
    const ContainerOptions options = source_.options();
    const Resized resized = TRY(resize_image({.path = path_,
                                              .format = options.format,
                                              .references = options.references,
                                              .change = change_,
                                              .shrink = shrink_,
                                              .keys = key_.source()}));
    if (console.json) {
      const nlohmann::json object = {{"file", printable(path_)},
                                     {"virtual_size", resized.after},
                                     {"virtual_size_before", resized.before}};
      console.out << object.dump(2) << '\n';
    } else if (!console.quiet) {
      console.out << fmt::format("{}: {}, was {}\n", printable(path_), human_size(resized.after),
                                 human_size(resized.before));
    }
    return 0;
  }

  bool changes_an_image() const override { return true; }
  std::vector<std::string> files() const override { return {path_}; }

 private:
  SourceArguments source_;
  KeyArguments key_;
  bool shrink_ = false;
  std::string path_, size_word_;
  SizeChange change_;
};

}  // namespace

CommandEntry resize_command() {
  return {
      .name = "resize",
      .arguments = "[options] IMAGE SIZE",
      .summary = "make the disk of an image larger or smaller",
      .details =
          "SIZE is the new size or, with + or - in front of it, the change. What is new reads as\n"
          "zeroes.",
      .make = [] { return std::unique_ptr<Command>(new ResizeCommand); }};
}

}  // namespace platter
