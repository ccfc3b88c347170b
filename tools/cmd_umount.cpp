#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "tools/command.h"
#include "tools/unmount.h"

namespace platter {
namespace {

class UmountCommand final : public Command {
 public:
  void define(CLI::App& app) override { app.add_option("MOUNTPOINT", mountpoint_)->required(); }

  Result<int> run(Console& console) override {
    TRY(unmount({.mountpoint = mountpoint_}));
    if (console.json) {
      const nlohmann::json object = {{"mountpoint", printable(mountpoint_)}, {"unmounted", true}};
      console.out << object.dump(2) << '\n';
    }
    return 0;
  }

  std::vector<std::string> files() const override { return {mountpoint_}; }

 private:
  std::string mountpoint_;
};

}  // namespace

CommandEntry umount_command() {
  return {
      .name = "umount",
      .arguments = "[options] MOUNTPOINT",
      .summary = "end a mount, and wait until all of it is over",
      .details =
          "What was written is flushed first; when that fails, nothing is unmounted. A busy mount\n"
          "stays, and the message names what uses it. Returns when the daemon is gone.",
      .make = [] { return std::unique_ptr<Command>(new UmountCommand); }};
}

}  // namespace platter
