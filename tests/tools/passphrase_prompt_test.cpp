// Passphrases typed at a terminal.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include <gtest/gtest.h>

#include "lib/io/posix_file.h"
#include "tests/support/mount.h"
#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::TempDir;

// A program of this build whose standard input is a terminal, typed at when it asks.
class AtATerminal {
 public:
  explicit AtATerminal(std::vector<std::string> words) : said_(dir_ / "said") {
    test::write_file(said_, "");
    master_ = Descriptor(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    EXPECT_TRUE(master_);
    EXPECT_EQ(grantpt(master_.get()), 0);
    EXPECT_EQ(unlockpt(master_.get()), 0);
    const std::string terminal = ptsname(master_.get());
    words.insert(words.begin(), test::program("platter"));
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    setsid();
    dup2(open(terminal.c_str(), O_RDWR), STDIN_FILENO);
    const int out = open(said_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  ~AtATerminal() {
    kill(pid_, SIGKILL);
    if (!ended_) waitpid(pid_, nullptr, 0);
  }
  AtATerminal(const AtATerminal&) = delete;
  AtATerminal& operator=(const AtATerminal&) = delete;

  // When it has said so much. What was typed before is not read.
  void type(const std::string& when, const std::string& keys) {
    ASSERT_TRUE(test::comes_true([&] { return said().find(when) != std::string::npos; })) << said();
    ASSERT_EQ(write(master_.get(), keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  std::string said() const { return test::read_file(said_); }
  // What the terminal shows of what was typed.
  std::string echoed() const {
    pollfd ready = {master_.get(), POLLIN, 0};
    std::string text(4096, '\0');
    if (poll(&ready, 1, 0) <= 0) return "";
    const ssize_t n = read(master_.get(), text.data(), text.size());
    text.resize(n < 0 ? 0 : static_cast<size_t>(n));
    return text;
  }
  // The exit status, 128 + the signal, or -1 when it does not end.
  int end() {
    int status = 0;
    ended_ = test::comes_true([&] { return waitpid(pid_, &status, WNOHANG) == pid_; });
    if (!ended_) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  const TempDir dir_;
  const std::string said_;
  Descriptor master_;
  pid_t pid_ = -1;
  bool ended_ = false;
};

std::vector<std::string> creating(const std::string& path) {
  return {"create", "-f", "luks", "-o", "iter-time=1", path, "64k"};
}

TEST(PassphrasePrompt, AsksTwiceForANewOneAndShowsNothing) {
  const TempDir dir;
  AtATerminal made(creating(dir / "a.luks"));
  // A mistake that is rubbed out, and a line that is begun anew.
  ASSERT_NO_FATAL_FAILURE(made.type("New passphrase for",
                                    "wrong\x15typex\x7f"
                                    "d one\n"));
  ASSERT_NO_FATAL_FAILURE(made.type("The same again", "typed one\n"));
  EXPECT_EQ(made.end(), 0) << made.said();
  EXPECT_EQ(made.said().find("typed"), std::string::npos);
  EXPECT_EQ(made.echoed().find("typed"), std::string::npos);
  test::write_file(dir / "key", "typed one");
  EXPECT_EQ(cli({"convert", "--key-file", dir / "key", dir / "a.luks", dir / "a.raw"}).status, 0);

  AtATerminal read({"convert", dir / "a.luks", dir / "b.raw"});
  ASSERT_NO_FATAL_FAILURE(read.type("Passphrase for", "typed one\n"));
  EXPECT_EQ(read.end(), 0) << read.said();
}

TEST(PassphrasePrompt, TwoThatDifferAreNoPassphrase) {
  const TempDir dir;
  AtATerminal made(creating(dir / "a.luks"));
  ASSERT_NO_FATAL_FAILURE(made.type("New passphrase for", "one\n"));
  ASSERT_NO_FATAL_FAILURE(made.type("The same again", "another\n"));
  EXPECT_EQ(made.end(), 1);
  EXPECT_NE(made.said().find("are not the same"), std::string::npos);
}

TEST(PassphrasePrompt, CtrlCEndsTheProgram) {
  const TempDir dir;
  AtATerminal made(creating(dir / "a.luks"));
  ASSERT_NO_FATAL_FAILURE(made.type("New passphrase for", "on\x03"));
  EXPECT_EQ(made.end(), 128 + SIGINT);
}

}  // namespace
}  // namespace platter
