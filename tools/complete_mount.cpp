// The options of platterfs, as its help has them.
#include <algorithm>
#include <sstream>

#include "lib/host/child.h"
#include "tools/complete_value.h"
#include "tools/find_platterfs.h"

namespace platter {
namespace {

struct PlatterfsOption {
  std::string name, value, meaning;  // value: empty when it has none
};

struct PlatterfsOptions {
  std::vector<PlatterfsOption> dashed;  // "-f"
  std::vector<PlatterfsOption> listed;  // behind -o, or by themselves with two dashes before them
};

// "    format=NAME    the image's format" or "    -f, --foreground    stay …".
void read_line(const std::string& line, PlatterfsOptions& options) {
  constexpr size_t kIndent = 4;
  if (!line.starts_with("    ") || line.size() == kIndent || line[kIndent] == ' ') return;
  const bool dashed = line[kIndent] == '-';
  const size_t end = line.find(dashed ? "  " : " ", kIndent);
  if (end == std::string::npos) return;
  const std::string names = line.substr(kIndent, end - kIndent);
  const std::string meaning = line.substr(line.find_first_not_of(' ', end));
  if (!dashed) {
    const size_t equals = std::min(names.find('='), names.size());
    const std::string value = equals < names.size() ? names.substr(equals + 1) : "";
    options.listed.push_back({names.substr(0, equals), value, meaning});
    return;
  }
  std::istringstream words(names);
  for (std::string word; words >> word && word[0] == '-';) {
    if (word.back() == ',') word.pop_back();
    options.dashed.push_back({word, "", meaning});
  }
}

PlatterfsOptions read_help() {
  PlatterfsOptions options;
  const auto help = run_child({find_platterfs(), "--help"}, true);
  if (!help) return options;
  std::istringstream in(help->output);
  // Behind the list come those of mount(8), which nobody types here.
  for (std::string line; std::getline(in, line) && !line.starts_with("and ");) {
    read_line(line, options);
  }
  return options;
}

// A NAME is of a format, of a snapshot or any.
std::string_view kind_of(const PlatterfsOption& option) {
  if (option.value != "NAME") return option.value;
  return option.name == "format" ? "FMT" : option.name == "snapshot" ? "NAME" : "TEXT";
}

class MountLine {
 public:
  MountLine(Offers& offers, const std::vector<std::string>& words) : offers_(offers) {
    for (size_t i = 0; i + 1 < words.size(); ++i) {
      if (waiting_) {
        waiting_ = false;
      } else if (words[i] == "-o") {
        waiting_ = true;
      } else if (words[i].empty() || words[i][0] != '-') {
        operands_.push_back(words[i]);
      }
    }
  }

  bool complete() {
    const std::string& typed = offers_.typed();
    if (waiting_) {
      const size_t comma = typed.rfind(',');
      return listed(comma == std::string::npos ? 0 : comma + 1);
    }
    if (typed.starts_with('-')) {
      if (typed.find('=') != std::string::npos) return listed(2);
      for (const PlatterfsOption& option : options_.dashed)
        offers_.add(option.name, option.meaning);
      return typed.starts_with("--") || typed == "-" ? listed(2) : true;
    }
    // Each but the last is an image, or a directory of images, and this may be the last.
    return offers_.add_values("IMAGE", "", "");
  }

 private:
  // The word from there on is one of the options that are listed.
  bool listed(size_t start) {
    const std::string& typed = offers_.typed();
    const size_t equals = typed.find('=', std::min(start, typed.size()));
    const std::string before = typed == "-" ? "--" : typed.substr(0, start);
    bool known = true;
    for (const PlatterfsOption& option : options_.listed) {
      const std::string word = before + option.name + (option.value.empty() ? "" : "=");
      if (equals == std::string::npos) {
        offers_.add(word, option.meaning);
      } else if (!option.value.empty() && typed.starts_with(word)) {
        known &=
            offers_.add_values(kind_of(option), word, operands_.empty() ? "" : operands_.front());
      }
    }
    return known;
  }

  Offers& offers_;
  const PlatterfsOptions options_ = read_help();
  std::vector<std::string> operands_;
  bool waiting_ = false;  // for the list behind -o
};

}  // namespace

bool complete_mount(Offers& offers, const std::vector<std::string>& words) {
  return MountLine(offers, words).complete();
}

}  // namespace platter
