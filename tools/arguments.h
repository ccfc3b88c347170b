// Arguments that several commands share.
#pragma once

#include <string>
#include <vector>

#include "lib/container/container.h"
#include "lib/ops/passphrase.h"
#include "tools/console.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace platter {

// How to open an image to read: -f, --references.
class SourceArguments {
 public:
  void define(CLI::App& app);
  Result<void> check();
  ContainerOptions options() const;

 private:
  std::string format_;
  std::string references_ = "beside";
  References policy_ = References::beside;
};

// The passphrase of encrypted images: --key-file, --key-fd, or a prompt.
class KeyArguments {
 public:
  using Purpose = PassphraseSource::Purpose;
  // fresh: of an image that is made, or a passphrase that is added: typed, it is asked for twice.
  explicit KeyArguments(Purpose purpose = Purpose::existing) : purpose_(purpose) {}
  // prefix: "new-" or "second-", where there is another one as well.
  void define(CLI::App& app, const std::string& prefix = "");
  Result<void> check();
  // Asked for when it is first needed; lives as long as this.
  KeySource* source();
  bool given() const { return input_.given(); }

 private:
  const Purpose purpose_;
  std::string file_, fd_;
  KeyInput input_;
  std::optional<PassphraseSource> source_;
};

// -f: of the image that the command is about.
void define_format(CLI::App& app, std::string& format);

// A format's name from the command line; empty is fine, what no format has is an error.
Result<void> check_format_name(const std::string& name);
// The names of all formats, for messages.
std::string format_names();

// "-o a=b,c=d" once or more often; ",," is a comma, a word without "=" is "on".
Result<Options> parse_options(const std::vector<std::string>& words);
void define_options(CLI::App& app, std::vector<std::string>& words);

// -m: how many threads do the work; help says which.
void define_threads(CLI::App& app, unsigned& threads, const std::string& help);
// --progress=json of long work; empty unless it is given.
void define_progress(CLI::App& app, std::string& progress);

// The options every command has.
void define_common_options(CLI::App& app, Console& console);

// Processors this process may use; at least 1.
unsigned default_threads();

}  // namespace platter
