#include "tests/support/mount.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

extern char** environ;

namespace platter::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Standard output and error go to the two files.
pid_t spawn(const std::vector<std::string>& command, const std::string& out,
            const std::string& err) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND;
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), flags, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), flags, 0600);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(error, 0) << "cannot run " << command[0];
  return error == 0 ? pid : -1;
}

// The exit status, 128 + the signal, or -1 when it has not ended by then.
int wait_for(pid_t pid, std::chrono::milliseconds limit) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  pollfd ended = {fd, POLLIN, 0};
  if (fd >= 0) poll(&ended, 1, static_cast<int>(limit.count()));
  if (fd >= 0) close(fd);
  int status = 0;
  if (waitpid(pid, &status, WNOHANG) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// As proc(5) writes them in mountinfo.
std::string escape_spaces(const std::string& path) {
  std::string out;
  for (const char c : path) out += c == ' ' ? "\\040" : std::string(1, c);
  return out;
}

// The lines that tell of something wrong. That a raw image was guessed is said of most images a
// test makes.
std::string complaints(const std::string& messages) {
  std::string found, line;
  for (std::istringstream in(messages); std::getline(in, line);) {
    std::string lower = line;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (lower.find("taken for raw") != std::string::npos) continue;
    for (const char* word : {"error", "warning", "sanitizer", "terminate", "assert"}) {
      if (lower.find(word) != std::string::npos) found += line + "\n";
    }
  }
  return found;
}

}  // namespace

std::string program(const std::string& name) { return std::string(PLATTER_BIN_DIR "/") + name; }

Outcome run(const std::vector<std::string>& command, std::chrono::seconds limit) {
  const TempDir dir;
  Outcome outcome;
  const auto start = Clock::now();
  const pid_t pid = spawn(command, dir / "out", dir / "err");
  if (pid < 0) return outcome;
  outcome.status = wait_for(pid, limit);
  if (outcome.status < 0) {
    kill(pid, SIGKILL);
    outcome.status = wait_for(pid, 30s);
  }
  outcome.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  outcome.out = read_file(dir / "out");
  outcome.err = read_file(dir / "err");
  return outcome;
}

MountEntry mount_entry(const std::string& path) {
  const std::string escaped = escape_spaces(path);
  std::ifstream in("/proc/self/mountinfo");
  MountEntry found;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string id, parent, device, root, point, options, word;
    words >> id >> parent >> device >> root >> point >> options;
    if (point != escaped) continue;
    while (words >> word && word != "-") continue;
    words >> found.type >> found.source;
    found.options = options;
    found.minor = static_cast<unsigned>(std::stoul(device.substr(device.find(':') + 1)));
  }
  return found;
}

bool comes_true(const std::function<bool()>& condition) {
  for (const auto limit = Clock::now() + 10s; Clock::now() < limit;
       std::this_thread::sleep_for(2ms)) {
    if (condition()) return true;
  }
  return false;
}

Mount::Mount(const std::string& image, const std::vector<std::string>& options,
             std::chrono::seconds limit) {
  path_ = std::filesystem::canonical(dir_.path()) / "mnt";
  mkdir(path_.c_str(), 0755);
  start(image, options);
  if (pid_ < 0) return;
  watchdog_ = std::thread([this, limit] { watch(limit); });
  mounted_ = wait_until_mounted();
  EXPECT_TRUE(mounted_) << "not mounted: " << messages();
}

void Mount::start(const std::string& image, const std::vector<std::string>& options) {
  std::vector<std::string> command = {program("platterfs"), "-f"};
  command.insert(command.end(), options.begin(), options.end());
  command.insert(command.end(), {image, path_});
  pid_ = spawn(command, dir_ / "out", dir_ / "err");
}

bool Mount::wait_until_mounted() {
  for (const auto limit = Clock::now() + 20s; Clock::now() < limit;) {
    const MountEntry entry = mount_entry(path_);
    if (!entry.type.empty()) {
      const std::lock_guard lock(mutex_);
      connection_ = entry.minor;
      break;
    }
    status_ = wait_for(pid_, 2ms);
    ended_ = status_ >= 0;
    if (ended_) return false;
  }
  struct stat st = {};
  return stat(path_.c_str(), &st) == 0;
}

void Mount::watch(std::chrono::seconds limit) {
  std::unique_lock lock(mutex_);
  if (over_.wait_for(lock, limit, [this] { return finished_; })) return;
  ADD_FAILURE() << "the mount hung: its connection is ended";
  abort_connection();
}

bool abort_connection(unsigned connection) {
  const std::string connections = "/sys/fs/fuse/connections";
  if (access((connections + "/.").c_str(), X_OK) == 0 && std::filesystem::is_empty(connections)) {
    mount("fusectl", connections.c_str(), "fusectl", 0, nullptr);
  }
  std::ofstream abort(connections + "/" + std::to_string(connection) + "/abort");
  return static_cast<bool>(abort << "1" << std::flush);
}

void Mount::abort_connection() const {
  // Without the control filesystem the end of the program ends the connection too.
  if (!test::abort_connection(connection_) && !ended_) kill(pid_, SIGKILL);
}

std::string Mount::messages() const { return read_file(dir_ / "err"); }

int Mount::wait_for_end() {
  if (!ended_) {
    status_ = wait_for(pid_, 10s);
    ended_ = status_ >= 0;
  }
  return status_;
}

Mount::~Mount() {
  if (mounted_ && !mount_entry(path_).type.empty()) {
    abort_connection();
    if (umount2(path_.c_str(), MNT_DETACH) != 0) run({"fusermount3", "-u", "-z", path_});
  }
  if (pid_ > 0 && wait_for_end() < 0) {
    ADD_FAILURE() << "platterfs did not end with its mount";
    kill(pid_, SIGKILL);
    wait_for_end();
  }
  if (watchdog_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      finished_ = true;
    }
    over_.notify_all();
    watchdog_.join();
  }
  if (messages_expected_ || !mounted_) return;
  EXPECT_TRUE(status_ == 0 || status_ == 128 + SIGKILL)
      << "exit status " << status_ << ": " << messages();
  EXPECT_EQ(complaints(messages()), "");
}

struct stat stat_path(const std::string& path) {
  struct stat st = {};
  EXPECT_EQ(stat(path.c_str(), &st), 0) << path;
  return st;
}

}  // namespace platter::test
