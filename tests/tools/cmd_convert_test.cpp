#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "tests/lib/ops/each_format.h"
#include "tests/support/bytes.h"
#include "tests/support/mount.h"
#include "tests/support/qemu.h"
#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::Creatable;
using test::Said;
using test::TempDir;

class ConvertCommand : public testing::TestWithParam<Creatable> {
 protected:
  void SetUp() override {
    const auto bytes = test::pattern(0, 3 * MiB, 5);
    test::write_file(source_, Bytes(bytes));
    ASSERT_EQ(truncate(source_.c_str(), 10 * MiB), 0);
  }
  std::vector<std::string> words(const std::vector<std::string>& files) const {
    std::vector<std::string> all = {"convert",
                                    "-O",
                                    std::string(GetParam().format->name()),
                                    "-o",
                                    GetParam().option_word(),
                                    "--key-file",
                                    key_file_};
    all.insert(all.end(), files.begin(), files.end());
    return all;
  }
  // What QEMU is given no key for.
  bool encrypted() const {
    const std::string format(GetParam().format->name());
    return cli({"info", "--json", "-f", format, target_}).json().value("encrypted", false);
  }
  const TempDir dir_, keys_;
  const std::string key_file_ = test::key_file_in(keys_.path());
  const std::string source_ = dir_ / "source.img";
  const std::string target_ = dir_ / "target";
};

TEST_P(ConvertCommand, MakesACopyThatComparesTheSame) {
  const Said made = cli(words({source_, target_}));
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(made.err, "");
  const std::string format(GetParam().format->name());
  EXPECT_EQ(cli({"compare", source_, target_, "-F", format, "--key-file", key_file_}).status, 0);
  EXPECT_EQ(cli({"info", "--json", "-f", format, target_}).json().at("variant"),
            GetParam().variant);
}

TEST_P(ConvertCommand, GivesTheCopyTheModeOfItsSource) {
  ASSERT_EQ(chmod(source_.c_str(), 0640), 0);
  ASSERT_EQ(cli(words({source_, target_})).status, 0);
  struct stat st = {};
  ASSERT_EQ(stat(target_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0640U);
}

TEST_P(ConvertCommand, AnswersInJson) {
  auto line = words({source_, target_});
  line.push_back("--json");
  const auto report = cli(line).json();
  ASSERT_TRUE(report.is_object());
  EXPECT_EQ(report.at("file"), target_);
  EXPECT_EQ(report.at("virtual_size"), 10 * MiB);
  EXPECT_GE(report.at("copied"), 3 * MiB);
  EXPECT_EQ(report.at("copied").get<uint64_t>() + report.at("zeroes").get<uint64_t>() +
                report.at("holes").get<uint64_t>(),
            10 * MiB);
}

TEST_P(ConvertCommand, ReportsProgressAsJsonLines) {
  auto line = words({source_, target_});
  line.push_back("--progress=json");
  const Said made = cli(line);
  ASSERT_EQ(made.status, 0);
  std::istringstream lines(made.err);
  nlohmann::json last;
  for (std::string text; std::getline(lines, text);) {
    last = nlohmann::json::parse(text);
  }
  EXPECT_EQ(last, (nlohmann::json{{"done", 10 * MiB}, {"total", 10 * MiB}}));
}

TEST_P(ConvertCommand, RefusesToWriteOverItsSource) {
  const std::string before = test::read_file(source_);
  const Said made = cli(words({source_, source_}));
  EXPECT_EQ(made.status, 1);
  EXPECT_EQ(test::read_file(source_), before);
}

// The program by itself, since signals are a process's. Its progress goes to a pipe with room for
// one line: it cannot end before the pipe is read, and that is after the signal.
class InterruptedProgram {
 public:
  InterruptedProgram(std::vector<std::string> line, int signal) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    EXPECT_EQ(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
    constexpr int kFilled = 4096 - 50;
    EXPECT_EQ(write(ends[1], std::string(kFilled, '.').data(), kFilled), kFilled);
    const pid_t pid = start(std::move(line), ends[1]);
    close(ends[1]);
    int waiting = 0;
    while (ioctl(ends[0], FIONREAD, &waiting) == 0 && waiting == kFilled &&
           waitpid(pid, nullptr, WNOHANG) == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    kill(pid, signal);
    for (char byte = 0; read(ends[0], &byte, 1) == 1;) said_ += byte;
    close(ends[0]);
    waitpid(pid, &status_, 0);
  }

  int status() const { return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1; }
  const std::string& said() const { return said_; }

 private:
  static pid_t start(std::vector<std::string> line, int err) {
    std::vector<char*> argv;
    for (std::string& word : line) argv.push_back(word.data());
    argv.push_back(nullptr);
    const pid_t pid = fork();
    if (pid != 0) return pid;
    dup2(err, STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }

  int status_ = -1;
  std::string said_;
};

TEST_P(ConvertCommand, LeavesNothingWhenItIsInterrupted) {
  const auto bytes = test::pattern(0, 16 * MiB, 9);
  test::write_file(source_, Bytes(bytes));
  for (const int signal : {SIGINT, SIGTERM}) {
    std::vector<std::string> line = words({source_, target_, "--progress=json"});
    line.insert(line.begin(), test::program("platter"));
    const InterruptedProgram program(line, signal);
    EXPECT_EQ(program.status(), 128 + signal);
    EXPECT_NE(program.said().find("platter: interrupted\n"), std::string::npos) << program.said();
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_.path()), {}), 1);
  }
}

TEST_P(ConvertCommand, LeavesNothingWhenTheHostIsFull) {
  const std::string small = dir_ / "small";
  std::filesystem::create_directory(small);
  if (mount("none", small.c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "mounting a small filesystem takes root";
  }
  const Said made = cli(words({source_, small + "/target"}));
  const bool empty = std::filesystem::is_empty(small);
  umount2(small.c_str(), MNT_DETACH);
  EXPECT_EQ(made.status, 1);
  EXPECT_TRUE(made.err.starts_with("platter: " + small + "/target")) << made.err;
  EXPECT_TRUE(made.err.ends_with("No space left on device\n")) << made.err;
  EXPECT_TRUE(empty);
}

TEST_P(ConvertCommand, MakesWhatQemuImgReadsTheSame) {
  if (test::run({"qemu-img", "--version"}).status != 0) GTEST_SKIP() << "there is no qemu-img";
  ASSERT_EQ(cli(words({source_, target_})).status, 0);
  if (encrypted()) GTEST_SKIP() << "QEMU is given no key here";
  const std::string format = test::qemu_name_of(std::string(GetParam().format->name()));
  const auto same = test::run({"qemu-img", "compare", "-f", "raw", "-F", format, source_, target_});
  EXPECT_EQ(same.status, 0) << same.out << same.err;
  if (format == "raw") return;
  const auto check = test::run({"qemu-img", "check", "-f", format, target_});
  constexpr int kCannotCheck = 63;  // qcow
  EXPECT_TRUE(check.status == 0 || check.status == kCannotCheck) << check.out << check.err;
}

TEST_P(ConvertCommand, ReadsWhatQemuImgMade) {
  const std::string format = test::qemu_name_of(std::string(GetParam().format->name()));
  ASSERT_EQ(cli(words({source_, target_})).status, 0);
  if (encrypted()) GTEST_SKIP() << "QEMU is given no key here";
  ASSERT_EQ(unlink(target_.c_str()), 0);
  if (test::run({"qemu-img", "--version"}).status != 0) GTEST_SKIP() << "there is no qemu-img";
  ASSERT_EQ(test::run({"qemu-img", "convert", "-f", "raw", "-O", format, source_, target_}).status,
            0);
  const std::string back = dir_ / "back.raw";
  ASSERT_EQ(cli({"convert", "-f", format, target_, back}).status, 0);
  // QEMU makes the disk longer where a format of its has no such size.
  const std::string wanted = test::read_file(source_), seen = test::read_file(back);
  EXPECT_TRUE(seen.starts_with(wanted));
  EXPECT_EQ(seen.find_first_not_of('\0', wanted.size()), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(EachVariant, ConvertCommand,
                         testing::ValuesIn(test::everything_creatable()), test::name_of);

TEST(Convert, TakesTheFormatFromTheExtension) {
  const TempDir dir;
  test::write_file(dir / "a.img", std::string(70000, 'x'));
  for (const Creatable& creatable : test::everything_creatable()) {
    const std::string name(creatable.format->name());
    const std::string target = dir / (creatable.variant + "." + name);
    ASSERT_EQ(cli({"convert", "-o", creatable.option_word(), "--key-file",
                   test::key_file_in(dir.path()), dir / "a.img", target})
                  .status,
              0);
    EXPECT_EQ(cli({"info", "--json", target}).json().at("format"), name);
  }
}

TEST(Convert, AsksForTheFormatWhenNothingSaysIt) {
  const Said said = cli({"convert", "a.img", "b.unknown"});
  EXPECT_EQ(said.status, 2);
  EXPECT_NE(said.err.find("-O FMT"), std::string::npos);
}

TEST(Convert, ShowsABarOnATerminalOnlyAndClearsIt) {
  const TempDir dir;
  test::write_file(dir / "a.img", std::string(70000, 'x'));
  const Said said = cli({"convert", dir / "a.img", dir / "b.raw"}, true);
  EXPECT_EQ(said.status, 0);
  EXPECT_NE(said.err.find("100%"), std::string::npos);
  EXPECT_TRUE(said.err.ends_with("\r\x1b[K"));
  EXPECT_EQ(cli({"convert", dir / "a.img", dir / "c.raw", "-q"}, true).err, "");
}

// A copy must not show to all what one of its files kept for its owner.
TEST(Convert, GivesACopyOfSeveralSourcesTheStrictestMode) {
  const TempDir dir;
  test::write_file(dir / "a.img", std::string(4096, 'x'));
  test::write_file(dir / "b.img", std::string(4096, 'x'));
  ASSERT_EQ(chmod((dir / "a.img").c_str(), 0644), 0);
  ASSERT_EQ(chmod((dir / "b.img").c_str(), 0600), 0);
  ASSERT_EQ(cli({"convert", dir / "a.img", dir / "b.img", dir / "c.raw"}).status, 0);
  struct stat st = {};
  ASSERT_EQ(stat((dir / "c.raw").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0600U);
  EXPECT_EQ(test::read_file(dir / "c.raw"), std::string(8192, 'x'));
}

// A disk that was the parent's once: the middle is new, the end became zeroes, it has grown.
class ConvertOverParent : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::string disk(8 * MiB, 'p');
    parent_ = dir_ / "parent.vdi";
    test::write_file(dir_ / "parent.img", disk);
    ASSERT_EQ(cli({"convert", dir_ / "parent.img", parent_}).status, 0);
    disk.replace(3 * MiB + 1000, MiB, MiB, 'n');
    disk.replace(6 * MiB, 2 * MiB, 2 * MiB, '\0');
    disk += std::string(2 * MiB, 'm') + std::string(MiB, '\0');
    test::write_file(source_, disk);
  }
  const TempDir dir_;
  const std::string source_ = dir_ / "source.img", target_ = dir_ / "target";
  std::string parent_;
};

TEST_P(ConvertOverParent, WritesOnlyWhatDiffers) {
  const Said made =
      cli({"convert", "--json", "-O", GetParam(), "--parent", parent_, source_, target_});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_LE(made.json().at("copied"), 6 * MiB);
  EXPECT_GE(made.json().at("same"), 4 * MiB);
  EXPECT_EQ(cli({"compare", source_, target_}).status, 0);
  EXPECT_EQ(cli({"info", "--json", "--chain", target_}).json().at("chain").size(), 2U);
  if (GetParam() == "vdi") return;
  if (std::system("qemu-img --version >/dev/null 2>&1") != 0) return;
  EXPECT_EQ(test::run({"qemu-img", "check", target_}).status, 0);
  EXPECT_EQ(test::run({"qemu-img", "compare", source_, target_}).status, 0);
}

TEST_P(ConvertOverParent, OfTheSameDiskHasNothing) {
  const auto made =
      cli({"convert", "--json", "-O", GetParam(), "--parent", parent_, parent_, target_}).json();
  EXPECT_EQ(made.at("copied"), 0);
  EXPECT_EQ(made.at("same"), 8 * MiB);
}

INSTANTIATE_TEST_SUITE_P(Formats, ConvertOverParent, testing::Values("qcow2", "vdi"),
                         [](const auto& test) { return test.param; });

TEST(Convert, OverAParentTakesTheOptionsOfTheFormat) {
  const TempDir dir;
  const std::string parent = dir / "parent.img", source = dir / "source.img";
  test::write_file(parent, std::string(4 * MiB, 'p'));
  test::write_file(source, std::string(MiB, '\0') + std::string(3 * MiB, 'p'));
  for (const std::string options : {"compat=0.10", "cluster_size=512", "extended_l2=on",
                                    "extended_l2=on,preallocation=metadata"}) {
    const std::string target = dir / ("target," + options);
    ASSERT_EQ(
        cli({"convert", "-q", "-O", "qcow2", "-o", options, "--parent", parent, source, target})
            .status,
        0);
    EXPECT_EQ(cli({"compare", source, target}).status, 0) << options;
  }
  EXPECT_EQ(cli({"convert", "-O", "raw", "--parent", parent, source, dir / "x"}).status, 1);
}

}  // namespace
}  // namespace platter
