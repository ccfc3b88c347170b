#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/image/registry.h"
#include "lib/ops/copy.h"
#include "lib/ops/set.h"
#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/progress_line.h"

namespace platter {
namespace {

class CopyCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    source_.define(app);
    key_.define(app);
    new_key_.define(app, "new-");
    app.add_option("-O,--output-format", format_,
                   "what the copies shall be; without it, what the images are")
        ->type_name("FMT");
    define_options(app, option_words_);
    app.add_flag("--layers", args_.layers, "copy SRC and each of its parents by itself");
    app.add_option("--parent", args_.parent, "the copy of SRC's parent, that the copy stands on")
        ->type_name("P");
    app.add_option("--parent-format", args_.parent_format, "what P is; without it, it is found out")
        ->type_name("FMT");
    app.add_option("--size", size_, "how large the copy's disk is, at least as SRC's")
        ->type_name("SIZE");
    app.add_option("--set", value_words_, "what the copy says of itself, as `platter set` has it")
        ->type_name("KEY=VALUE")
        ->expected(1)
        ->take_all();
    define_threads(app, args_.threads, "how many threads read and decode");
    define_progress(app, progress_);
    app.add_option("IMAGE", args_.path, "")->required();
    app.add_option("FILE", args_.to, "")->required();
  }

  Result<void> check() override {
    TRY(source_.check());
    TRY(key_.check());
    TRY(new_key_.check());
    TRY(check_format_name(format_));
    TRY(check_format_name(args_.parent_format));
    if (!format_.empty()) args_.target = find_format(format_);
    args_.options = TRY(parse_options(option_words_));
    if (args_.target != nullptr) TRY(create_options(*args_.target, args_.options));
    args_.values = TRY(parse_metadata(value_words_));
    if (!size_.empty()) {
      args_.size = parse_size(size_);
      if (!args_.size) {
        return Error(Errc::invalid,
                     fmt::format("{}: is no size of a disk; 64M and 10G are", printable(size_)));
      }
    }
    if (args_.layers && !args_.parent.empty()) {
      return Error(Errc::invalid, "--layers and --parent exclude one another");
    }
    args_.format = source_.options().format;
    args_.references = source_.options().references;
    return {};
  }

  Result<int> run(Console& console) override {
    console.progress_json = !progress_.empty();
    args_.keys = key_.source();
    args_.new_keys = key_.given() && !new_key_.given() ? key_.source() : new_key_.source();
    CopyReport report;
    {
      ProgressLine progress(console);
      report = TRY(copy_image(args_, progress));
    }
    print(console, report);
    return 0;
  }

  std::vector<std::string> files() const override { return {args_.path, args_.to}; }

 private:
  void print(Console& console, const CopyReport& report) const {
    if (console.json) {
      nlohmann::json object = {{"file", printable(args_.to)}, {"images", nlohmann::json::array()}};
      for (const CopyReport::Copied& image : report.images) {
        object["images"].push_back({{"file", printable(image.path)},
                                    {"format", image.format},
                                    {"copied", image.bytes},
                                    {"left_out", image.left_out}});
      }
      console.out << object.dump(2) << '\n';
    } else if (!console.quiet) {
      for (const CopyReport::Copied& image : report.images) {
        const std::string without =
            image.left_out.empty()
                ? ""
                : fmt::format("; it has no place for: {}", fmt::join(image.left_out, ", "));
        console.out << fmt::format("{}: {}, {} copied{}\n", printable(image.path), image.format,
                                   human_size(image.bytes), without);
      }
    }
  }

  SourceArguments source_;
  KeyArguments key_;
  KeyArguments new_key_{KeyArguments::Purpose::fresh};
  CopyArgs args_{.threads = default_threads()};
  std::string format_, size_, progress_;
  std::vector<std::string> option_words_, value_words_;
};

}  // namespace

CommandEntry copy_command() {
  return {.name = "copy",
          .arguments = "[options] SRC DST",
          .summary = "copy an image, or a chain of them, with what it says of itself",
          .details =
              "Comment and geometry are copied, too; the UUID is a new one. With --layers the\n"
              "parents are copied beside DST, under their own names; with --parent only what SRC\n"
              "itself has. No copy is left unless all went well.",
          .make = [] { return std::unique_ptr<Command>(new CopyCommand); }};
}

}  // namespace platter
