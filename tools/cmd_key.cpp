#include <charconv>
#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/ops/keys.h"
#include "tools/arguments.h"
#include "tools/cancellation.h"
#include "tools/command.h"

namespace platter {
namespace {

using nlohmann::json;

class KeyCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    define_format(app, args_.format);
    key_.define(app);
    new_key_.define(app, "new-");
    app.add_option("--iter-time", milliseconds_,
                   "add: milliseconds that trying the new passphrase takes (default: 2000)")
        ->type_name("MS")
        ->check(CLI::Range(1U, 60000U).description(""));
    app.add_option("--slot", slot_, "remove: this slot, not the one that the passphrase opens")
        ->type_name("N")
        ->check(CLI::Range(size_t{0}, kLuksSlots - 1).description(""));
    app.add_flag("--force", removal_.force, "remove: also the last key");
    app.add_option("ACTION", action_)
        ->required()
        ->check(CLI::IsMember({"add", "remove", "list"}).description(""));
    app.add_option("IMAGE", args_.path)->required();
  }

  Result<void> check() override {
    TRY(check_format_name(args_.format));
    TRY(key_.check());
    TRY(new_key_.check());
    removal_.slot = slot_;
    if (action_ != "add" && new_key_.given()) {
      return Error(Errc::invalid, "a new passphrase goes with add only");
    }
    if (action_ != "remove" && (slot_ || removal_.force)) {
      return Error(Errc::invalid, "--slot and --force go with remove only");
    }
    return {};
  }

  Result<int> run(Console& console) override {
    if (action_ == "list") {
      print_list(console, TRY(list_keys(args_)));
      return 0;
    }
    const bool adds = action_ == "add";
    const size_t slot = adds
                            ? TRY(add_key(args_, *key_.source(), *new_key_.source(), milliseconds_))
                            : TRY(remove());
    if (console.json) {
      const json object = {{"file", printable(args_.path)}, {"slot", slot}};
      console.out << object.dump(2) << '\n';
    } else if (!console.quiet) {
      console.out << fmt::format("{}: key slot {} {}\n", printable(args_.path), slot,
                                 adds ? "has the new key" : "is empty now");
    }
    return 0;
  }

  bool changes_an_image() const override { return action_ != "list"; }
  std::vector<std::string> files() const override { return {args_.path}; }

 private:
  Result<size_t> remove() {
    const Cancellation deferred;  // a slot is not left half overwritten
    return remove_key(args_, *key_.source(), removal_);
  }

  static void print_list(Console& console, const LuksHeader& header) {
    json list = json::array();
    for (size_t i = 0; i < kLuksSlots; ++i) {
      const LuksSlot& slot = header.slots[i];
      list.push_back({{"slot", i},
                      {"active", slot.active},
                      {"iterations", slot.active ? slot.iterations : 0}});
    }
    if (console.json) {
      console.out << list.dump(2) << '\n';
      return;
    }
    console.out << fmt::format("{:<6}{:<10}{}\n", "SLOT", "STATE", "ITERATIONS");
    for (const json& slot : list) {
      const bool active = slot.at("active").get<bool>();
      console.out << fmt::format("{:<6}{:<10}{}\n", slot.at("slot").get<size_t>(),
                                 active ? "active" : "empty",
                                 active ? slot.at("iterations").dump() : "-");
    }
  }

  KeyArgs args_;
  KeyArguments key_;
  KeyArguments new_key_{KeyArguments::Purpose::fresh};
  KeyRemoval removal_;
  std::optional<size_t> slot_;
  uint32_t milliseconds_ = 2000;
  std::string action_;
};

}  // namespace

CommandEntry key_command() {
  return {
      .name = "key",
      .arguments = "add|remove|list [options] IMAGE",
      .summary = "change which passphrases open an encrypted image",
      .details =
          "For what is encrypted by LUKS. add needs a passphrase that opens the image; the new\n"
          "one opens it too. remove takes one away, and does not leave the image without any\n"
          "unless --force is given. What is not given by an option is asked for at the "
          "terminal.",
      .make = [] { return std::unique_ptr<Command>(new KeyCommand); }};
}

}  // namespace platter
