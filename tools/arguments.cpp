#include "tools/arguments.h"

#include <sched.h>

#include <algorithm>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "lib/base/suggest.h"
#include "lib/image/registry.h"

namespace platter {
namespace {

// Cut at single commas; a doubled one stands for itself.
std::vector<std::string> cut_at_commas(const std::string& word) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < word.size(); ++i) {
    if (word[i] != ',') {
      parts.back() += word[i];
    } else if (i + 1 < word.size() && word[i + 1] == ',') {
      parts.back() += ',';
      ++i;
    } else {
      parts.emplace_back();
    }
  }
  return parts;
}

}  // namespace

void define_format(CLI::App& app, std::string& format) {
  app.add_option("-f,--format", format, "what the image is; without it, it is found out")
      ->type_name("FMT");
}

void SourceArguments::define(CLI::App& app) {
  define_format(app, format_);
  app.add_option("--references", references_,
                 "which files an image may name: none, beside (it), any")
      ->type_name("WHICH");
}

Result<void> SourceArguments::check() {
  TRY(check_format_name(format_));
  policy_ = TRY(parse_references(references_));
  return {};
}

ContainerOptions SourceArguments::options() const {
  return {.format = format_, .references = policy_};
}

void KeyArguments::define(CLI::App& app, const std::string& prefix) {
  const std::string whose = prefix.empty()     ? "the passphrase of what is encrypted"
                            : prefix == "new-" ? "the passphrase of what is new"
                                               : "B's passphrase, when it is another one";
  app.add_option(fmt::format("--{}key-file", prefix), file_,
                 fmt::format("{} is all bytes of this file; - is standard input", whose))
      ->type_name("FILE");
  app.add_option(fmt::format("--{}key-fd", prefix), fd_,
                 fmt::format("{} is read from this descriptor", whose))
      ->type_name("N");
}

Result<void> KeyArguments::check() {
  input_ = TRY(parse_key_input(file_, fd_));
  return {};
}

KeySource* KeyArguments::source() {
  if (!source_) source_.emplace(input_, purpose_);
  return &*source_;
}

std::string format_names() {
  std::vector<std::string_view> names;
  for (const Format* format : all_formats()) names.push_back(format->name());
  std::ranges::sort(names);
  return fmt::format("{}", fmt::join(names, ", "));
}

Result<void> check_format_name(const std::string& name) {
  if (name.empty() || find_format(name) != nullptr) return {};
  std::vector<std::string_view> names;
  for (const Format* format : all_formats()) names.push_back(format->name());
  return Error(Errc::invalid, fmt::format("there is no format \"{}\"{}; there are {}", name,
                                          did_you_mean(name, names), format_names()));
}

Result<Options> parse_options(const std::vector<std::string>& words) {
  Options options;
  for (const std::string& word : words) {
    for (const std::string& part : cut_at_commas(word)) {
      const size_t equals = std::min(part.find('='), part.size());
      const std::string key = part.substr(0, equals);
      if (key.empty()) {
        return Error(Errc::invalid, fmt::format("-o {}: is not a list of key=value", word));
      }
      options[key] = equals == part.size() ? "on" : part.substr(equals + 1);
    }
  }
  return options;
}

void define_threads(CLI::App& app, unsigned& threads, const std::string& help) {
  app.add_option("-m,--threads", threads, help)
      ->type_name("N")
      ->check(CLI::Range(1U, 256U).description(""));
}

void define_progress(CLI::App& app, std::string& progress) {
  app.add_option("--progress", progress, "json: one object a line on standard error")
      ->type_name("json")
      ->check(CLI::IsMember({"json"}).description(""));
}

void define_common_options(CLI::App& app, Console& console) {
  app.add_flag("-q,--quiet", console.quiet, "say nothing but errors");
  app.add_flag("-r,--read-only", console.read_only, "refuse to change an image that is there");
  app.add_flag("--json", console.json, "print one JSON value instead of text");
  app.set_help_flag("-h,--help", "print this and exit");
  app.set_version_flag("--version", std::string("platter ") + PLATTER_VERSION,
                       "print the version and exit");
}

void define_options(CLI::App& app, std::vector<std::string>& words) {
  app.add_option("-o,--options", words, "options of the new image's format")
      ->type_name("KEY=VALUE[,...]")
      ->allow_extra_args(false);
}

unsigned default_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<unsigned>(std::max(CPU_COUNT(&set), 1));
}

}  // namespace platter
