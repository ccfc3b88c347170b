// The manual pages, the help of the programs and the README say the same.
#include <algorithm>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "tests/support/mount.h"
#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"
#include "tools/command.h"

namespace platter {
namespace {

using Words = std::set<std::string>;

std::string page(const std::string& name) {
  return test::read_file(PLATTER_SOURCE_DIR "/packaging/man/" + name + ".1.md");
}

// The lines in front of a definition: "**-f**, **--format** *FMT*", with ": " on the next line.
std::vector<std::string> terms_in(const std::string& text) {
  std::vector<std::string> terms;
  std::istringstream in(text);
  std::string before;
  for (std::string line; std::getline(in, line); before = line) {
    if (line.starts_with(": ") && before.starts_with("**")) terms.push_back(before);
  }
  return terms;
}

// What is in bold in them.
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

// From the heading to the next one of any level.
std::string section(const std::string& text, const std::string& heading) {
  const size_t start = text.find("\n" + heading);
  if (start == std::string::npos) return {};
  const size_t line = text.find('\n', start + 1);
  return text.substr(line, text.find("\n#", line) - line);
}

// The dashed words of a help text, in front of the two blanks that part them from what they mean.
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

TEST(Readme, HasTheTableOfFormatsThatTheProgramPrints) {
  const std::string readme = test::read_file(PLATTER_SOURCE_DIR "/README.md");
  const std::string table = test::cli({"formats", "--markdown"}).out;
  ASSERT_NE(table, "");
  EXPECT_NE(readme.find(table), std::string::npos) << table;
}

TEST(ManPageOfPlatter, NamesTheOptionsOfEachCommandAndNoOthers) {
  const std::string text = page("platter");
  const Words common = bold_in(terms_in(section(text, "# OPTIONS OF EVERY COMMAND")));
  EXPECT_TRUE(common.contains("--json"));
  for (const CommandEntry& command : all_commands()) {
    const std::string name(command.name);
    const std::string heading = "## platter " + name + " " + std::string(command.arguments) + "\n";
    EXPECT_NE(text.find(heading), std::string::npos) << heading;
    if (command.passes_on) continue;
    Words documented = bold_in(terms_in(section(text, "## platter " + name + " ")));
    documented.insert(common.begin(), common.end());
    EXPECT_EQ(documented, options_in(test::cli({"help", name}).out)) << name;
  }
}

TEST(ManPageOfPlatter, HasNoCommandThatIsNotThere) {
  const std::string text = page("platter");
  const std::string heading = "\n## platter ";
  for (size_t at = text.find(heading); at != std::string::npos; at = text.find(heading, at + 1)) {
    const size_t name = at + heading.size();
    const std::string command = text.substr(name, text.find(' ', name) - name);
    EXPECT_NE(find_command(command), nullptr) << command;
  }
}

// The mount options stand in the help by themselves, each in a line: "    ro   read-only …".
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

TEST(ManPageOfPlatterfs, NamesTheOptionsItHasAndNoOthers) {
  const test::Outcome help = test::run({test::program("platterfs"), "--help"});
  ASSERT_EQ(help.status, 0) << help.err;
  const std::string text = page("platterfs");
  EXPECT_EQ(bold_in(terms_in(section(text, "# OPTIONS"))), options_in(help.out));
  EXPECT_EQ(bold_in(terms_in(section(text, "# MOUNT OPTIONS"))), mount_options_in(help.out));
}

}  // namespace
}  // namespace platter
