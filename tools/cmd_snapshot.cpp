#include <array>
#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/ops/info.h"
#include "lib/ops/snapshot.h"
#include "tools/arguments.h"
#include "tools/cancellation.h"
#include "tools/command.h"
#include "tools/info_text.h"
#include "tools/live_snapshot.h"

namespace platter {
namespace {

using nlohmann::json;

using What = SnapshotRequest::What;

struct Action {
  std::string_view word;
  What what;
  std::string_view done;  // for the line that says so
  size_t names;           // that it takes
};
constexpr std::array<Action, 4> kChanges = {{
    {"create", What::create, "taken", 1},
    {"delete", What::remove, "deleted", 1},
    {"apply", What::apply, "is the disk now", 1},
    {"rename", What::rename, "renamed", 2},
}};

class SnapshotCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    source_.define(app);
    app.add_option("ACTION", action_)
        ->required()
        ->check(CLI::IsMember({"list", "create", "delete", "apply", "rename"}).description(""));
    app.add_option("IMAGE", path_)->required();
    app.add_option("NAME", name_);
    app.add_option("NEW-NAME", new_name_);
    app.add_flag("--live", live_, "apply: while IMAGE is mounted");
  }

  Result<void> check() override {
    TRY(source_.check());
    for (const Action& action : kChanges) {
      if (action.word == action_) change_ = &action;
    }
    if (live_ && action_ != "apply") return Error(Errc::invalid, "--live is for apply");
    if (change_ == nullptr) {
      if (!name_.empty()) return Error(Errc::invalid, "list takes no NAME");
      return {};
    }
    if (name_.empty()) return Error(Errc::invalid, fmt::format("{}: NAME is missing", action_));
    if (change_->names == 2 && new_name_.empty()) {
      return Error(Errc::invalid, "rename: NEW-NAME is missing");
    }
    if (change_->names < 2 && !new_name_.empty()) {
      return Error(Errc::invalid, fmt::format("{} takes one NAME", action_));
    }
    return {};
  }

  Result<int> run(Console& console) override {
    if (change_ == nullptr) {
      TRY(list(console));
    } else if (live_) {
      TRY(apply_snapshot_live(path_, name_));
      report(console, {.format_id = {}, .name = name_});
    } else {
      TRY(change(console));
    }
    return 0;
  }

  bool changes_an_image() const override { return action_ != "list"; }
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

  Result<void> change(Console& console) const {
    const Cancellation deferred;  // whole or not at all: it is not left half-way
    const ContainerOptions options = source_.options();
    const bool create = change_->what == What::create;
    report(console, TRY(change_snapshots({.path = path_,
                                          .format = options.format,
                                          .references = options.references,
                                          .what = change_->what,
                                          .snapshot = create ? std::string() : name_,
                                          .name = create ? name_ : new_name_})));
    return {};
  }

  void report(Console& console, const SnapshotInfo& snapshot) const {
    if (console.json) {
      json object = {{"file", printable(path_)}, {"name", printable(snapshot.name)}};
      if (!snapshot.format_id.empty()) object["id"] = printable(snapshot.format_id);
      console.out << object.dump(2) << '\n';
    } else if (!console.quiet) {
      const std::string id =
          snapshot.format_id.empty() ? "" : " " + printable(snapshot.format_id) + ",";
      console.out << fmt::format("{}: snapshot{} \"{}\" {}\n", printable(path_), id,
                                 printable(snapshot.name), change_->done);
    }
  }

  SourceArguments source_;
  std::string action_, path_, name_, new_name_;
  bool live_ = false;
  const Action* change_ = nullptr;  // null: list
};

}  // namespace

CommandEntry snapshot_command() {
  return {
      .name = "snapshot",
      .arguments = "list|create|delete|apply|rename [options] IMAGE [NAME [NEW-NAME]]",
      .summary = "list, take, delete, rename the snapshots inside an image, or go back to one",
      .details =
          "create keeps the disk as it is now under NAME. apply makes the disk what it was then:\n"
          "what was written since is lost, unless another snapshot keeps it. NAME is a name, and\n"
          "for apply an id or a name; id:ID and name:NAME say which. Nobody else uses the image;\n"
          "in a mount, mkdir, rmdir and mv in snapshots/ do the same, and apply --live goes back\n"
          "while it is mounted. When it is interrupted all of it has happened or nothing.",
      .make = [] { return std::unique_ptr<Command>(new SnapshotCommand); }};
}

}  // namespace platter
