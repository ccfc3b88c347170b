#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/image/registry.h"
#include "lib/ops/child.h"
#include "lib/ops/create.h"
#include "tools/arguments.h"
#include "tools/cancellation.h"
#include "tools/command.h"

namespace platter {
namespace {

class CreateCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    app.add_option("-f,--format", format_, "what the new image shall be")
        ->type_name("FMT")
        ->required();
    define_options(app, option_words_);
    key_.define(app);
    app.add_option("--parent", parent_, "make a differencing image of this one")->type_name("P");
    app.add_option("--parent-format", parent_format_, "what P is; without it, it is found out")
        ->type_name("FMT");
    app.add_option("--references", references_,
                   "which files P may name, and then IMAGE: none, beside (it), any")
        ->type_name("WHICH");
    app.add_option("IMAGE", path_)->required();
    app.add_option("SIZE", size_word_);
  }

  Result<void> check() override {
    TRY(check_format_name(format_));
    options_ = TRY(parse_options(option_words_));
    TRY(create_options(*find_format(format_), options_));
    TRY(take_parent_format());
    TRY(key_.check());
    policy_ = TRY(parse_references(references_));
    if (size_word_.empty()) {
      if (!parent_.empty()) return {};
      return Error(Errc::invalid, "SIZE is required where there is no --parent");
    }
    const std::optional<uint64_t> size = parse_size(size_word_);
    if (!size || *size > kMaxOffset) {
      return Error(Errc::invalid,
                   fmt::format("{}: is no size of a disk; 64M and 10G are", size_word_));
    }
    size_ = *size;
    return {};
  }

  Result<int> run(Console& console) override {
    const Format& format = *find_format(format_);
    const Cancellation deferred;  // so short that Ctrl-C may come when it is over
    CreateArgs args{.path = path_,
                    .format = format,
                    .size = size_,
                    .options = options_,
                    .references = policy_,
                    .keys = key_.source()};
    if (!parent_.empty()) {
      const NewParent parent = TRY(describe_parent({.path = parent_,
                                                    .format = parent_format_,
                                                    .references = policy_,
                                                    .child = path_,
                                                    .child_format = &format}));
      if (size_word_.empty()) args.size = size_ = parent.size;
      args.parent = parent.link;
    }
    TRY(create_image(args));
    if (console.json) {
      const nlohmann::json object = {
          {"file", printable(path_)}, {"format", format.name()}, {"virtual_size", size_}};
      console.out << object.dump(2) << '\n';
    } else if (!console.quiet) {
      console.out << fmt::format("{}: a new disk of {}, {}\n", printable(path_), human_size(size_),
                                 format.name());
    }
    return 0;
  }

  std::vector<std::string> files() const override { return {path_}; }

 private:
  // qemu-img's option says the same as --parent-format.
  Result<void> take_parent_format() {
    const auto option = options_.find("backing_fmt");
    if (parent_format_.empty() && option != options_.end()) parent_format_ = option->second;
    return check_format_name(parent_format_);
  }

  KeyArguments key_{KeyArguments::Purpose::fresh};
  std::string references_ = "beside";
  References policy_ = References::beside;
  std::string format_, path_, size_word_, parent_, parent_format_;
  std::vector<std::string> option_words_;
  Options options_;
  uint64_t size_ = 0;
};

}  // namespace

CommandEntry create_command() {
  return {.name = "create",
          .arguments = "-f FMT [options] IMAGE [SIZE]",
          .summary = "make a new, empty image",
          .details =
              "IMAGE must not exist. SIZE is in bytes, or with k, M, G, T, P or E behind it,\n"
              "powers of 1024; the parent's when it is not given. Nothing is left behind when it "
              "fails.",
          .make = [] { return std::unique_ptr<Command>(new CreateCommand); }};
}

}  // namespace platter
