#include <algorithm>
#include <ostream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/image/registry.h"
#include "lib/ops/child.h"
#include "lib/ops/convert.h"
#include "lib/ops/source_disk.h"
#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/progress_line.h"

namespace platter {
namespace {

// What may be read in a copy: what all of the files it is made of may be read by.
Result<uint32_t> mode_for(const std::vector<std::unique_ptr<Container>>& sources) {
  constexpr uint32_t kOwner = 0700, kOthers = 0077;
  uint32_t mode = 0777;
  bool first = true;
  for (const auto& source : sources) {
    for (const ChainLayer& layer : source->chain()) {
      for (const FilePtr& file : layer.image->files()) {
        const FileStat st = TRY(file->stat());
        const bool device = st.inode == 0;
        mode &= (device ? 0600 : st.mode) | (first ? 0 : kOwner);
        first = false;
        if (device) mode &= ~kOthers;
      }
    }
  }
  return mode;
}

class ConvertCommand final : public Command {
 public:
  void define(CLI::App& app) override {
    source_.define(app);
    key_.define(app);
    new_key_.define(app, "new-");
    app.add_option("-O,--output-format", format_,
                   "what the new image shall be; without it, DST's extension says so")
        ->type_name("FMT");
    define_options(app, option_words_);
    app.add_flag("-c,--compress", compress_, "compress the data, where that makes it smaller");
    app.add_flag("--fast", fast_, "with -c: in the least time, for a somewhat larger file");
    app.add_option("--snapshot", snapshot_, "copy this earlier state instead of the live disk")
        ->type_name("NAME");
    app.add_option("--parent", parent_, "write only what differs from this image, DST's parent")
        ->type_name("P");
    app.add_option("--parent-format", parent_format_, "what P is; without it, it is found out")
        ->type_name("FMT");
    define_threads(app, threads_, "how many threads read, decode and compress");
    define_progress(app, progress_);
    app.add_option("FILES", files_)->required()->expected(2, 4096);
  }

  Result<void> check() override {
    TRY(source_.check());
    TRY(key_.check());
    TRY(new_key_.check());
    TRY(check_format_name(format_));
    target_ = format_.empty() ? format_for_extension(files_.back()) : find_format(format_);
    if (target_ == nullptr) {
      return Error(Errc::invalid,
                   fmt::format("{}: the name does not say which format it shall have: -O FMT does, "
                               "one of {}",
                               files_.back(), format_names()));
    }
    options_ = TRY(parse_options(option_words_));
    if (!snapshot_.empty() && files_.size() > 2) {
      return Error(Errc::invalid, "--snapshot goes with one source only");
    }
    if (fast_ && !compress_) return Error(Errc::invalid, "--fast goes with -c only");
    TRY(create_options(*target_, options_));
    return check_format_name(parent_format_);
  }

  Result<int> run(Console& console) override {
    console.progress_json = !progress_.empty();
    std::vector<std::unique_ptr<Container>> sources;
    ContainerOptions options = source_.options();
    options.snapshot = snapshot_;
    options.keys = key_.source();
    ConvertArgs args{.target = {.path = files_.back(),
                                .format = *target_,
                                .options = options_,
                                .references = options.references,
                                .compress = effort(),
                                .keys = target_keys()},
                     .threads = threads_};
    for (size_t i = 0; i + 1 < files_.size(); ++i) {
      sources.push_back(TRY(Container::open(files_[i], options)));
      args.sources.push_back(sources.back()->live());
    }
    args.target.size = TRY(SourceDisk::size_of(args.sources));
    args.target.mode = TRY(mode_for(sources));
    const std::unique_ptr<Container> parent = TRY(open_parent(args));
    ConvertReport report;
    {
      ProgressLine progress(console);
      report = TRY(convert(args, progress));
    }
    print(console, args.target.size, report);
    return 0;
  }

  std::vector<std::string> files() const override { return files_; }

 private:
  std::optional<Effort> effort() const {
    if (!compress_) return std::nullopt;
    return fast_ ? Effort::fast : Effort::usual;
  }

  // What is given for the sources is good for the copy as well.
  KeySource* target_keys() {
    return key_.given() && !new_key_.given() ? key_.source() : new_key_.source();
  }

  // Null: there is none.
  Result<std::unique_ptr<Container>> open_parent(ConvertArgs& args) {
    if (parent_.empty()) return std::unique_ptr<Container>();
    const References policy = args.target.references;
    args.target.parent = TRY(describe_parent({.path = parent_,
                                              .format = parent_format_,
                                              .references = policy,
                                              .child = args.target.path,
                                              .child_format = target_}))
                             .link;
    auto parent = TRY(Container::open(
        parent_,
        {.format = parent_format_, .references = policy, .lock = true, .keys = key_.source()}));
    args.parent = parent->live();
    return parent;
  }

  void print(Console& console, uint64_t size, const ConvertReport& report) const {
    if (console.json) {
      nlohmann::json object = {
          {"file", printable(files_.back())}, {"format", target_->name()}, {"virtual_size", size},
          {"copied", report.copied},          {"zeroes", report.zeroes},   {"holes", report.holes}};
      if (compress_) object["compressed"] = report.encoded;
      if (!parent_.empty()) object["same"] = report.same;
      console.out << object.dump(2) << '\n';
    } else if (!console.quiet) {
      console.out << fmt::format("{}: {} of {} copied, the rest {}\n", printable(files_.back()),
                                 human_size(report.copied), human_size(size),
                                 parent_.empty() ? "are zeroes" : "is as in its parent or zeroes");
    }
  }

  SourceArguments source_;
  KeyArguments key_;
  KeyArguments new_key_{KeyArguments::Purpose::fresh};
  std::string format_, snapshot_, progress_, parent_, parent_format_;
  std::vector<std::string> option_words_, files_;
  unsigned threads_ = default_threads();
  bool compress_ = false, fast_ = false;
  const Format* target_ = nullptr;
  Options options_;
};

}  // namespace

CommandEntry convert_command() {
  return {.name = "convert",
          .arguments = "[options] SRC... DST -O FMT",
          .summary = "copy the disk an image shows into a new image",
          .details =
              "Several sources are laid end to end. Zeroes take no space in the copy. DST must\n"
              "not exist, and does not unless all went well. Its mode is the source's.",
          .make = [] { return std::unique_ptr<Command>(new ConvertCommand); }};
}

}  // namespace platter
