#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/ops/compact.h"
#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/progress_line.h"

namespace platter {
namespace {

class CompactCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    source_.define(app);
    key_.define(app);
    define_threads(app, args_.threads, "how many threads look for zeroes");
    define_progress(app, progress_);
    app.add_option("IMAGE", args_.path)->required();
  }

  Result<void> check() override {
    TRY(source_.check());
    TRY(key_.check());
    args_.format = source_.options().format;
    args_.references = source_.options().references;
    return {};
  }

  Result<int> run(Console& console) override {
    console.progress_json = !progress_.empty();
    args_.keys = key_.source();
    CompactReport report;
    {
      ProgressLine progress(console);
      report = TRY(compact_image(args_, progress));
    }
    print(console, report);
    return 0;
  }

  bool changes_an_image() const override { return true; }
  std::vector<std::string> files() const override { return {args_.path}; }

 private:
  void print(Console& console, const CompactReport& report) const {
    const auto& [before, after] = report;
    if (console.json) {
      const nlohmann::json object = {{"file", printable(args_.path)},
                                     {"file_size", after.size},
                                     {"file_size_before", before.size},
                                     {"allocated_size", after.allocated},
                                     {"allocated_size_before", before.allocated}};
      console.out << object.dump(2) << '\n';
    } else if (!console.quiet) {
      console.out << fmt::format("{}: {}, was {}; on the host {}, was {}\n", printable(args_.path),
                                 human_size(after.size), human_size(before.size),
                                 human_size(after.allocated), human_size(before.allocated));
    }
  }

  SourceArguments source_;
  KeyArguments key_;
  CompactArgs args_{.threads = default_threads()};
  std::string progress_;
};

}  // namespace

CommandEntry compact_command() {
  return {
      .name = "compact",
      .arguments = "[options] IMAGE",
      .summary = "give back space that an image does not need",
      .details =
          "Blocks that read as zeroes, blocks that nothing uses and blocks that leaked go, and\n"
          "the file is cut. The disk stays what it is.",
      .make = [] { return std::unique_ptr<Command>(new CompactCommand); }};
}

}  // namespace platter
