#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/ops/info.h"
#include "lib/ops/snapshot_create.h"
#include "tools/arguments.h"
#include "tools/cancellation.h"
#include "tools/command.h"
#include "tools/info_text.h"

namespace platter {
namespace {

using nlohmann::json;

class SnapshotCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    source_.define(app);
    app.add_option("ACTION", action_)
        ->required()
        ->check(CLI::IsMember({"list", "create"}).description(""));
    app.add_option("IMAGE", path_)->required();
    app.add_option("NAME", name_);
  }

  Result<void> check() override {
    TRY(source_.check());
    if (action_ == "list" && !name_.empty()) return Error(Errc::invalid, "list takes no NAME");
    if (action_ != "list" && name_.empty()) {
      return Error(Errc::invalid, fmt::format("{}: NAME is missing", action_));
    }
    return {};
  }

  Result<int> run(Console& console) override {
    TRY(action_ == "list" ? list(console) : create(console));
    return 0;
  }

  std::vector<std::string> files() const override { return {path_}; }

 private:
  Result<void> list(Console& console) const {
    ContainerOptions options = source_.options();
    options.parents = false;
    const auto container = TRY(Container::open(path_, options));
    const json snapshots = TRY(describe({.container = *container})).at("snapshots");
    if (console.json) {
      console.out << snapshots.dump(2) << '\n';
    } else {
      print_snapshots(console.out, snapshots);
    }
    return {};
  }

  Result<void> create(Console& console) const {
    const Cancellation deferred;  // whole or not at all: it is not left half-way
    const ContainerOptions options = source_.options();
    const SnapshotInfo made = TRY(create_snapshot({.path = path_,
                                                   .format = options.format,
                                                   .references = options.references,
                                                   .name = name_}));
    if (console.json) {
      const json object = {{"file", printable(path_)},
                           {"id", printable(made.format_id)},
                           {"name", printable(made.name)}};
      console.out << object.dump(2) << '\n';
    } else if (!console.quiet) {
      console.out << fmt::format("{}: snapshot {}, \"{}\"\n", printable(path_), made.format_id,
                                 printable(made.name));
    }
    return {};
  }

  SourceArguments source_;
  std::string action_, path_, name_;
};

}  // namespace

CommandEntry snapshot_command() {
  return {.name = "snapshot",
          .arguments = "list|create [options] IMAGE [NAME]",
          .summary = "list the snapshots inside an image, or take one",
          .details =
              "create keeps the disk as it is now under NAME, while nobody else uses the image.\n"
              "When it is interrupted the snapshot is there whole or not at all.",
          .make = [] { return std::unique_ptr<Command>(new SnapshotCommand); }};
}

}  // namespace platter
