#include <ostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/host/child.h"
#include "tools/command.h"
#include "tools/find_platterfs.h"

namespace platter {
namespace {

// Its last line, without its name in front.
std::string last_complaint(std::string errors) {
  errors.erase(errors.find_last_not_of('\n') + 1);
  const size_t newline = errors.rfind('\n');
  if (newline != std::string::npos) errors.erase(0, newline + 1);
  constexpr std::string_view kProgram = "platterfs: ";
  if (errors.starts_with(kProgram)) errors.erase(0, kProgram.size());
  return errors.empty() ? "platterfs failed" : errors;
}

class MountCommand final : public PassingCommand {
 public:
  Result<int> run(Console& console) override {
    std::vector<std::string> words = words_;
    words.insert(words.begin(), find_platterfs());
    if (!console.json) return become(words);
    const ChildResult child = TRY(run_child(words));
    if (child.status != 0) {
      console.report(Error(Errc::io, last_complaint(child.errors)), files());
      return child.status;
    }
    console.err << child.errors;
    const nlohmann::json object = {{"mountpoint", words_.empty() ? "" : printable(words_.back())}};
    console.out << object.dump(2) << '\n';
    return 0;
  }

  std::vector<std::string> files() const override {
    std::vector<std::string> named;
    for (const std::string& word : words_) {
      if (!word.starts_with('-')) named.push_back(word);
    }
    return named;
  }
};

}  // namespace

CommandEntry mount_command() {
  return {.name = "mount",
          .arguments = "[options] IMAGE... MOUNTPOINT",
          .summary = "show an image as a directory",
          .details = "",
          .make = [] { return std::unique_ptr<Command>(new MountCommand); },
          .passes_on = true};
}

}  // namespace platter
