#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"
#include "tools/command.h"

namespace platter {
namespace {

using test::cli;
using test::read_file;
using test::Said;
using test::TempDir;

size_t lines_in(const std::string& text) {
  return static_cast<size_t>(std::ranges::count(text, '\n'));
}

TEST(Platter, RefusesToChangeWhatIsToBeReadOnly) {
  const TempDir dir;
  const std::string image = dir / "a.qcow2";
  ASSERT_EQ(cli({"create", "-q", "-r", "-f", "qcow2", image, "1M"}).status, 0);
  const std::string before = read_file(image);
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"check", "-r", "--repair", "all", image},
           {"resize", "-r", image, "2M"},
           {"set", "--read-only", image, "comment=x"},
           {"snapshot", "create", "-r", image, "s"},
           {"amend", "-r", "-o", "compat=0.10", image},
           {"rebase", "-r", "--unsafe", "--parent", image, image},
           {"merge", "-r", image},
           {"commit", "-r", image},
           {"move", "-r", image, image + "2"},
           {"compact", "-r", image},
       }) {
    const auto outcome = cli(words);
    EXPECT_EQ(outcome.status, 2) << words.front();
    EXPECT_NE(outcome.err.find("would change the image"), std::string::npos) << outcome.err;
  }
  EXPECT_EQ(cli({"check", "-r", "-q", image}).status, 0);
  EXPECT_EQ(cli({"snapshot", "list", "-r", image}).status, 0);
  EXPECT_TRUE(read_file(image) == before);
}

TEST(Platter, ListsEachCommandInItsHelp) {
  for (const std::string word : {"--help", "-h", "help"}) {
    const Said said = cli({word});
    EXPECT_EQ(said.status, 0);
    EXPECT_EQ(said.err, "");
    for (const CommandEntry& command : all_commands()) {
      EXPECT_NE(said.out.find("  " + std::string(command.name) + " "), std::string::npos);
    }
  }
}

TEST(Platter, HelpsWithEachOfItsOwnCommandsEitherWay) {
  for (const CommandEntry& command : all_commands()) {
    if (command.passes_on) continue;
    const std::string name(command.name);
    const Said asked = cli({"help", name});
    EXPECT_EQ(asked.status, 0);
    EXPECT_EQ(asked.err, "");
    EXPECT_TRUE(asked.out.starts_with("usage: platter " + name + " "));
    EXPECT_EQ(cli({name, "--help"}).out, asked.out);
    EXPECT_EQ(cli({name, "-h"}).out, asked.out);
  }
}

TEST(Platter, SaysItsVersion) {
  const std::string version = std::string("platter ") + PLATTER_VERSION + "\n";
  EXPECT_EQ(cli({"--version"}).out, version);
  EXPECT_EQ(cli({"info", "--version"}).out, version);
  EXPECT_EQ(cli({"info", "--version"}).status, 0);
}

TEST(Platter, AnswersWrongUsageWithOneLineAndStatus2) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"no-such-command"},
      {"help", "no-such-command"},
      {"info"},
      {"info", "a", "b"},
      {"info", "--no-such-option", "a"},
      {"info", "-f", "no-such-format", "a"},
      {"info", "--references=everything", "a"},
      {"convert", "a"},
      {"convert", "a", "b"},
      {"convert", "a", "b.raw", "-m", "0"},
      {"convert", "a", "b.raw", "-m", "many"},
      {"convert", "a", "b.raw", "--progress=words"},
      {"convert", "a", "b", "c.raw", "--snapshot", "s"},
      {"convert", "a", "b.raw", "-o", "no_such=1"},
      {"convert", "a", "b.raw", "-o", "=1"},
      {"create", "a", "1M"},
      {"create", "-f", "raw", "a"},
      {"create", "-f", "raw", "a", "much"},
      {"create", "-f", "raw", "a", "9E"},
      {"create", "-f", "raw", "a", "-5"},
      {"compare", "a"},
      {"umount"},
      {"formats", "x"},
  };
  for (const auto& words : wrong) {
    const Said said = cli(words);
    EXPECT_EQ(said.status, 2) << testing::PrintToString(words);
    EXPECT_EQ(said.out, "") << testing::PrintToString(words);
    EXPECT_TRUE(said.err.starts_with("platter: ")) << said.err;
    EXPECT_EQ(lines_in(said.err), 1U) << said.err;
  }
}

TEST(Platter, AnswersFailuresInJsonToo) {
  const std::vector<std::vector<std::string>> failing = {
      {"info", "/no/such/file"},
      {"map", "/no/such/file"},
      {"convert", "/no/such/file", "/no/such/target.raw"},
      {"compare", "/no/such/file", "/no/such/file"},
      {"create", "-f", "raw", "/no/such/file", "1M"},
      {"umount", "/no/such/file"},
  };
  for (auto words : failing) {
    words.push_back("--json");
    const Said said = cli(words);
    EXPECT_EQ(said.status, words.front() == "compare" ? 2 : 1);
    const auto object = said.json();
    ASSERT_TRUE(object.is_object()) << said.out;
    EXPECT_EQ(object.at("error").at("file"), "/no/such/file");
    const auto message = object.at("error").at("message").get<std::string>();
    EXPECT_TRUE(message.starts_with("/no/such/file: ")) << message;
    EXPECT_EQ(said.err, "platter: " + message + "\n");
  }
}

TEST(Platter, AnswersWrongUsageInJsonToo) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"info", "--json"},
                                                {"info", "--json", "--bogus", "a"},
                                                {"nonsense", "--json"},
                                                {"info", "--json", "-f", "bogus", "a"}}) {
    const Said said = cli(words);
    EXPECT_EQ(said.status, 2);
    EXPECT_TRUE(said.json().contains("/error/message"_json_pointer)) << said.out;
  }
}

TEST(Platter, EscapesANameThatWouldSteerATerminal) {
  const Said said = cli({"info", "/no/\x1b[2J\nsuch"});
  EXPECT_EQ(said.err, "platter: /no/\\x1b[2J\\x0asuch: cannot open: No such file or directory\n");
}

TEST(Platter, RefusesWhatIsNoFileOrEmpty) {
  const TempDir dir;
  test::write_file(dir / "empty", "");
  EXPECT_EQ(cli({"info", dir / "empty"}).err,
            "platter: " + (dir / "empty") + ": is empty: no disk image\n");
  EXPECT_EQ(cli({"info", dir.path()}).err,
            "platter: " + dir.path() + ": is a directory, not a disk image\n");
  EXPECT_EQ(cli({"info", "/dev/null"}).status, 1);
}

TEST(PlatterUsage, GuessesWhatAMistypedNameWasMeantAs) {
  const auto said = [](const std::vector<std::string>& words) {
    const Said told = cli(words);
    EXPECT_EQ(told.status, 2);
    return told.err;
  };
  EXPECT_NE(said({"convret"}).find("did you mean convert?"), std::string::npos);
  EXPECT_NE(said({"map", "--sumary", "x"}).find("did you mean --summary?"), std::string::npos);
  EXPECT_NE(said({"info", "-f", "qcwo2", "x"}).find("did you mean qcow2?"), std::string::npos);
  EXPECT_EQ(said({"frobnicate"}).find("did you mean"), std::string::npos);
}

}  // namespace
}  // namespace platter
