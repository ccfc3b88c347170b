#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "tools/platter.h"

namespace {

// A chain of hundreds of images has as many open files, more than the usual soft limit.
void raise_file_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// NO_COLOR: see no-color.org; empty is as if it was not set.
bool wants_colours() {
  const char* forbidden = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return isatty(STDOUT_FILENO) == 1 && (forbidden == nullptr || *forbidden == '\0') &&
         terminal != nullptr && std::strcmp(terminal, "dumb") != 0;
}

}  // namespace

int main(int argc, char** argv) {
  raise_file_limit();
  // A reader that went away is seen as a failed write, so that a new file beside is cleaned up.
  std::signal(SIGPIPE, SIG_IGN);
  std::ios::sync_with_stdio(false);
  const int status = platter::platter_main(argc, argv,
                                           {.out = std::cout,
                                            .err = std::cerr,
                                            .err_is_terminal = isatty(STDERR_FILENO) == 1,
                                            .colours = wants_colours()});
  errno = 0;
  if (std::cout.flush()) return status;
  if (errno == EPIPE || errno == 0) return 128 + SIGPIPE;
  std::cerr << "platter: standard output: cannot write: " << std::strerror(errno) << '\n';
  return 1;
}
