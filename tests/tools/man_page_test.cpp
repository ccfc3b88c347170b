// The manual pages, the help of the programs and the README say the same.
#include <gtest/gtest.h>

#include "tests/support/manual.h"
#include "tests/support/mount.h"
#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"
#include "tools/command.h"

namespace platter {
namespace {

using namespace test;

std::string page(const std::string& name) {
  return read_file(PLATTER_SOURCE_DIR "/packaging/man/" + name + ".1.md");
}

TEST(Readme, HasTheTableOfFormatsThatTheProgramPrints) {
  const std::string readme = read_file(PLATTER_SOURCE_DIR "/README.md");
  const std::string table = cli({"formats", "--markdown"}).out;
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
    EXPECT_EQ(documented, options_in(cli({"help", name}).out)) << name;
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

TEST(ManPageOfPlatterfs, NamesTheOptionsItHasAndNoOthers) {
  const Outcome help = run({program("platterfs"), "--help"});
  ASSERT_EQ(help.status, 0) << help.err;
  const std::string text = page("platterfs");
  EXPECT_EQ(bold_in(terms_in(section(text, "# OPTIONS"))), options_in(help.out));
  EXPECT_EQ(bold_in(terms_in(section(text, "# MOUNT OPTIONS"))), mount_options_in(help.out));
}

}  // namespace
}  // namespace platter
