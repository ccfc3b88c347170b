#include "lib/host/child.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fmt/format.h>

#include "lib/base/range.h"
#include "lib/io/posix_file.h"

namespace platter {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> list;
  list.reserve(words.size() + 1);
  for (const std::string& word : words) list.push_back(const_cast<char*>(word.c_str()));
  list.push_back(nullptr);
  return list;
}

// The caller's environment with messages in English, which umount looks at.
std::vector<char*> english_environment() {
  static char english[] = "LC_ALL=C";
  std::vector<char*> list;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, "LC_ALL=", 7) != 0) list.push_back(*entry);
  }
  list.push_back(english);
  list.push_back(nullptr);
  return list;
}

std::string contents(int fd) {
  constexpr size_t kMost = 64 * KiB;
  std::string text(kMost, '\0');
  const ssize_t got = pread(fd, text.data(), text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return text;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return 127;
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

Result<ChildResult> run_child(const std::vector<std::string>& words, bool keep_output) {
  // A file, not a pipe: a daemon that keeps it open would keep a reader waiting.
  const Descriptor errors(memfd_create("errors", MFD_CLOEXEC));
  const Descriptor output(memfd_create("output", MFD_CLOEXEC));
  if (!errors || !output) return system_error(words.front(), "cannot run", errno);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, errors.get(), STDERR_FILENO);
  if (keep_output) posix_spawn_file_actions_adddup2(&actions, output.get(), STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, words.front().c_str(), &actions, &attributes,
                                  pointers(words).data(), english_environment().data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) return system_error(words.front(), "cannot run", failed);
  const int status = wait_for(pid);
  return ChildResult{status, contents(errors.get()), contents(output.get())};
}

Error become(const std::vector<std::string>& words) {
  std::signal(SIGPIPE, SIG_DFL);
  execvp(words.front().c_str(), pointers(words).data());
  const int error = errno;
  std::signal(SIGPIPE, SIG_IGN);
  return system_error(words.front(), "cannot run", error);
}

}  // namespace platter
