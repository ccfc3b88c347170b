// What the shells offer while a command line is typed.
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/manual.h"
#include "tests/support/mount.h"

namespace platter::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// What platter answers the scripts: each line as far as the tab.
std::vector<std::string> offered(std::vector<std::string> words) {
  words.insert(words.begin(), {program("platter"), "--complete"});
  const Outcome asked = run(words);
  EXPECT_EQ(asked.status, 0) << testing::PrintToString(words);
  EXPECT_EQ(asked.err, "");
  std::vector<std::string> lines;
  std::istringstream in(asked.out);
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line.substr(0, line.find('\t', 1)));
  }
  return lines;
}

Words without_equals(const std::vector<std::string>& words) {
  Words names;
  for (const std::string& word : words) names.insert(word.substr(0, word.find('=')));
  return names;
}

// The first words of the lines of `platter --help` that name commands.
std::vector<std::string> commands() {
  std::vector<std::string> names;
  std::istringstream in(run({program("platter"), "--help"}).out);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("  ")) names.push_back(line.substr(2, line.find(' ', 2) - 2));
  }
  EXPECT_THAT(names, Contains("convert"));
  return names;
}

TEST(Complete, OffersTheCommandsOfTheHelp) {
  const std::vector<std::string> names = commands();
  EXPECT_EQ(offered({"help", ""}), names);
  Words all(names.begin(), names.end());
  all.insert({"help", "--help", "--version"});
  EXPECT_EQ(without_equals(offered({""})), all);
}

TEST(Complete, OffersTheOptionsOfEachCommandsHelpAndNoOthers) {
  for (const std::string& name : commands()) {
    if (name == "mount") continue;
    const std::vector<std::string> options = offered({name, "-"});
    EXPECT_EQ(Words(options.begin(), options.end()),
              options_in(run({program("platter"), "help", name}).out))
        << name;
  }
}

TEST(Complete, OffersTheOptionsOfTheHelpOfPlatterfsAndNoOthers) {
  const std::string help = run({program("platterfs"), "--help"}).out;
  const Words listed = mount_options_in(help);
  EXPECT_EQ(without_equals(offered({"mount", "-o", ""})), listed);
  Words dashed = options_in(help);
  for (const std::string& option : listed) dashed.insert("--" + option);
  EXPECT_EQ(without_equals(offered({"mount", "-"})), dashed);
}

// It exits with 1 for a value or an operand of a kind it does not know.
TEST(Complete, KnowsEveryKindOfValueAndOperandThereIs) {
  for (const std::string& name : commands()) {
    for (const std::string& option : offered({name, "-"})) {
      offered({name, option, ""});
    }
    for (std::vector<std::string> words = {name, ""}; words.size() < 6; words.emplace_back("")) {
      offered(words);
      words.back() = "x";
    }
  }
  for (const std::string& option : offered({"mount", "-o", ""})) offered({"mount", "-o", option});
}

class Offered : public testing::Test {
 protected:
  Offered() {
    EXPECT_EQ(run({program("platter"), "create", "-q", "-f", "qcow2", image_, "1M"}).status, 0);
    for (const char* name : {"one two", "three"}) {
      EXPECT_EQ(run({program("platter"), "snapshot", "create", "-q", image_, name}).status, 0);
    }
    write_file(dir_ / "other.text", std::string_view("any"));
  }

  // In the directory of the image.
  std::vector<std::string> run_shell(std::vector<std::string> command) const {
    command.insert(command.begin(), {"env", "-C", dir_.path(), "TERM=dumb", "HOME=" + dir_.path(),
                                     "PATH=" PLATTER_BIN_DIR ":/usr/bin:/bin"});
    const Outcome shell = run(command);
    EXPECT_EQ(shell.status, 0) << shell.err;
    std::vector<std::string> lines;
    std::istringstream in(shell.out);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  std::vector<std::string> by_bash(const std::string& line) const {
    return run_shell({"bash", "--norc", "-c",
                      "source \"$1\"; COMP_LINE=$2; COMP_POINT=${#2}; _platter; "
                      "[ ${#COMPREPLY[@]} = 0 ] || printf '%s\\n' \"${COMPREPLY[@]}\"",
                      "bash", kScripts + "platter.bash", line});
  }
  std::vector<std::string> by_fish(const std::string& line) const {
    return run_shell({"fish", "--no-config", "-c",
                      "source $argv[1]; complete -C $argv[2] | string replace -r '\\t.*' ''; true",
                      kScripts + "platter.fish", line});
  }
  // Types the line and a tab into a zsh on a terminal, and waits for what it then shows: at most
  // as long as run() lets it. What is typed may have been shown before.
  void expect_zsh(const std::string& line, const std::string& shown) const {
    run_shell({"zsh", "-f", "-c",
               "zmodload zsh/zpty; zpty z zsh -f -i; "
               "zpty -w z \"fpath=(${(q)1} \\$fpath); autoload -Uz compinit; compinit -u -D; "
               "PS1=; echo REA''DY\"; zpty -r -m z out '*READY*'; "
               "zpty -w -n z \"$2\"$'\\t'; zpty -r -m z out \"*${(b)3}*\"",
               "zsh", kScripts, line, shown});
  }

  const std::string kScripts = PLATTER_SOURCE_DIR "/packaging/completions/";
  const TempDir dir_;
  const std::string image_ = dir_ / "a b.qcow2";
};

TEST_F(Offered, BySnapshotNamesOfTheImage) {
  EXPECT_THAT(offered({"snapshot", "apply", image_, ""}), ElementsAre("one two", "three"));
  EXPECT_THAT(offered({"snapshot", "create", image_, ""}), IsEmpty());
  EXPECT_THAT(offered({"convert", image_, "--snapshot", "t"}), ElementsAre("three"));
  EXPECT_THAT(offered({"convert", image_, "--snapshot=t"}), ElementsAre("--snapshot=three"));
  EXPECT_THAT(offered({"mount", image_, "-o", "ro,snapshot="}),
              ElementsAre("ro,snapshot=one two", "ro,snapshot=three"));
  EXPECT_THAT(offered({"snapshot", "apply", dir_ / "other.text", ""}), IsEmpty());
}

TEST_F(Offered, OptionsAndVariantsAreThoseOfTheFormatThatIsMade) {
  EXPECT_THAT(
      offered({"create", "-f", "vdi", "-o", ""}),
      UnorderedElementsAre("static=", "block_size=", "subformat=dynamic", "subformat=static"));
  EXPECT_THAT(offered({"convert", "-f", "raw", "-Ovdi", "-o", "static=on,b"}),
              ElementsAre("static=on,block_size="));
  EXPECT_THAT(offered({"amend", "-o", "c"}), ElementsAre("compat="));
  EXPECT_THAT(offered({"set", image_, "geo"}), ElementsAre("geometry-lchs=", "geometry-pchs="));
}

TEST_F(Offered, InBash) {
  EXPECT_THAT(by_bash("platter conv"), ElementsAre("convert"));
  EXPECT_THAT(by_bash("platter info "), ElementsAre("a b.qcow2"));
  EXPECT_THAT(by_bash("platter info o"), ElementsAre("other.text"));
  EXPECT_THAT(by_bash("platter mount other.text a"), ElementsAre("a b.qcow2"));
  EXPECT_THAT(by_bash("platter info -f qc"), UnorderedElementsAre("qcow", "qcow2"));
  EXPECT_THAT(by_bash("platter info --references=b"), ElementsAre("beside"));
  EXPECT_THAT(by_bash("platter snapshot apply a\\ b.qcow2 o"), ElementsAre("one\\ two"));
  EXPECT_THAT(by_bash("platter snapshot apply 'a b.qcow2' t"), ElementsAre("three"));
  EXPECT_THAT(by_bash("platterfs -o ro,key-file=o"), ElementsAre("other.text"));
  EXPECT_THAT(by_bash("platterfs -o ro,re"),
              UnorderedElementsAre("ro\\,references=", "ro\\,resize"));
}

TEST_F(Offered, InFish) {
  EXPECT_THAT(by_fish("platter conv"), ElementsAre("convert"));
  EXPECT_THAT(by_fish("platter info a"), ElementsAre("a b.qcow2"));
  EXPECT_THAT(by_fish("platter info -f qc"), UnorderedElementsAre("qcow", "qcow2"));
  EXPECT_THAT(by_fish("platter info --references=b"), ElementsAre("--references=beside"));
  EXPECT_THAT(by_fish("platter snapshot apply a\\ b.qcow2 o"), ElementsAre("one two"));
  EXPECT_THAT(by_fish("platterfs -o ro,key-file=o"), ElementsAre("ro,key-file=other.text"));
}

TEST_F(Offered, InZsh) {
  expect_zsh("platter conv", "platter convert ");
  expect_zsh("platter info a", "\\ b.qcow2");
  expect_zsh("platter info --references=b", "--references=beside");
  expect_zsh("platter snapshot apply a\\ b.qcow2 o", "one\\ two");
  expect_zsh("platterfs -o ro,key-file=o", "ther.text");
}

}  // namespace
}  // namespace platter::test
