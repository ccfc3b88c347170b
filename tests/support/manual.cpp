#include "tests/support/manual.h"

#include <algorithm>
#include <sstream>

namespace platter::test {

std::vector<std::string> terms_in(const std::string& text) {
  std::vector<std::string> terms;
  std::istringstream in(text);
  std::string before;
  for (std::string line; std::getline(in, line); before = line) {
    if (line.starts_with(": ") && before.starts_with("**")) terms.push_back(before);
  }
  return terms;
}

Words bold_in(const std::vector<std::string>& terms) {
  Words words;
  for (const std::string& term : terms) {
    for (size_t at = term.find("**"); at != std::string::npos; at = term.find("**", at)) {
      const size_t end = term.find("**", at + 2);
      words.insert(term.substr(at + 2, end - at - 2));
      at = end + 2;
    }
  }
  return words;
}

std::string section(const std::string& text, const std::string& heading) {
  const size_t start = text.find("\n" + heading);
  if (start == std::string::npos) return {};
  const size_t line = text.find('\n', start + 1);
  return text.substr(line, text.find("\n#", line) - line);
}

Words options_in(const std::string& help) {
  Words options;
  std::istringstream in(help);
  for (std::string line; std::getline(in, line);) {
    const size_t start = std::min(line.find_first_not_of(' '), line.size());
    if (start < 2) continue;
    std::string names = line.substr(start, line.find("  ", start) - start);
    std::ranges::replace(names, ',', ' ');
    std::istringstream words(names);
    for (std::string word; words >> word && word.starts_with('-');) options.insert(word);
  }
  return options;
}

Words mount_options_in(const std::string& help) {
  Words options;
  std::istringstream in(help);
  for (std::string line; std::getline(in, line);) {
    const size_t end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz_-", 4);
    const bool entry = line.starts_with("    ") && end > 4 && line[4] != '-' &&
                       end != std::string::npos &&
                       (line[end] == '=' || line.substr(end).starts_with("  "));
    if (entry) options.insert(line.substr(4, end - 4));
  }
  return options;
}

}  // namespace platter::test
