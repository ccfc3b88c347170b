#include "fusefs/background.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include "lib/base/text.h"

namespace platter::fusefs {
namespace {

// True: the mount is there and answers, or says whom it lets in.
bool answers(const std::string& mountpoint) {
  struct stat st = {};
  if (stat(mountpoint.c_str(), &st) == 0 || errno == EACCES) return true;
  fmt::print(stderr, "platterfs: {}: the mount does not answer: {}\n", printable(mountpoint),
             strerror(errno));
  return false;
}

[[noreturn]] void wait_for(pid_t child, const Descriptor& report, const std::string& mountpoint,
                           int failure) {
  char byte = 0;
  ssize_t n = 0;
  do {
    n = read(report.get(), &byte, 1);
  } while (n < 0 && errno == EINTR);
  if (n == 1) _exit(answers(mountpoint) ? 0 : failure);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFSIGNALED(status)) {
    fmt::print(stderr, "platterfs: {}: ended by signal {} before the mount answered\n",
               printable(mountpoint), WTERMSIG(status));
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : failure);
}

}  // namespace

Result<Background> Background::start(const std::string& mountpoint, int failure) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return system_error("pipe", "cannot make one", errno);
  Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  const pid_t child = fork();
  if (child < 0) return system_error("background", "cannot fork", errno);
  if (child > 0) {
    writing = Descriptor();
    wait_for(child, reading, mountpoint, failure);
  }
  setsid();
  return Background(std::move(writing));
}

void Background::ready() {
  const Descriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (null) dup2(null.get(), fd);
  }
  [[maybe_unused]] const int moved = chdir("/");
  const char byte = 1;
  [[maybe_unused]] const ssize_t told = write(report_.get(), &byte, 1);
  report_ = Descriptor();
}

}  // namespace platter::fusefs
