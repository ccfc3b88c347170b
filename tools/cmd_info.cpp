#include <algorithm>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/container/archive_path.h"
#include "lib/image/registry.h"
#include "lib/ops/info.h"
#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/info_text.h"

namespace platter {
namespace {

using nlohmann::json;

class InfoCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    source_.define(app);
    key_.define(app);
    app.add_flag("--chain", chain_, "open its parents too, and list them");
    app.add_option("IMAGE", path_)->required();
  }

  Result<void> check() override {
    TRY(source_.check());
    return key_.check();
  }

  Result<int> run(Console& console) override {
    if (source_.options().format.empty()) {
      if (const std::optional<json> cache = TRY(describe_cache(path_))) {
        if (console.json) {
          console.out << cache->dump(2) << '\n';
        } else {
          print_cache(console.out, *cache);
        }
        return 0;
      }
    }
    const ArchivePtr archive = TRY(archive_at(path_, find_format(source_.options().format)));
    const json object = TRY(archive ? describe_archive(path_, *archive) : describe_image());
    if (console.json) {
      console.out << object.dump(2) << '\n';
    } else if (archive) {
      print_archive(console.out, object);
    } else {
      print_info(console.out, object);
    }
    return 0;
  }

  std::vector<std::string> files() const override { return {path_}; }

 private:
  bool is_open(const Container& container) const {
    return key_.given() || std::ranges::none_of(container.chain(), [](const ChainLayer& layer) {
             return layer.image->info().encrypted;
           });
  }

  Result<json> describe_image() {
    ContainerOptions options = source_.options();
    options.parents = chain_;
    // Nobody is asked: without a key only the partitions are missing.
    if (key_.given() && chain_) options.keys = key_.source();
    const auto container = TRY(Container::open(path_, options));
    if (chain_) {
      return describe({.container = *container, .chain = true, .partitions = is_open(*container)});
    }
    if (container->info().parent || (container->info().encrypted && !key_.given())) {
      return describe({.container = *container});
    }
    // Without a parent the disk can most often be read from this one file: an image that needs
    // another one is refused here, and has no partitions to show.
    options.parents = true;
    options.references = References::none;
    if (key_.given()) options.keys = key_.source();
    const auto readable = Container::open(path_, options);
    if (readable) return describe({.container = **readable, .partitions = true});
    if (readable.error().code() == Errc::no_key) return Error(readable.error());
    json object = TRY(describe({.container = *container}));
    if (readable.error().code() != Errc::denied) {
      object["warnings"].push_back(printable(readable.error().message()));
    }
    return object;
  }

  SourceArguments source_;
  KeyArguments key_;
  bool chain_ = false;
  std::string path_;
};

}  // namespace

CommandEntry info_command() {
  return {
      .name = "info",
      .arguments = "[options] IMAGE",
      .summary = "say what an image is",
      .details =
          "No other file is opened unless --chain is given. The partitions are listed when the\n"
          "disk can be read that way; of an encrypted one, when its passphrase is given. Of an\n"
          "archive the disks in it are listed; IMAGE is one of them as ARCHIVE/MEMBER. A cache "
          "image\n"
          "says what it holds.",
      .make = [] { return std::unique_ptr<Command>(new InfoCommand); }};
}

}  // namespace platter
