// qemu-img and qemu-io, where they are installed.
#pragma once

#include <cstdlib>

#include <fmt/format.h>
#include <sys/wait.h>

#include "tests/support/temp_dir.h"

namespace platter::test {

inline bool have_qemu() {
  static const bool have =
      std::system("qemu-img --version >/dev/null 2>&1 && qemu-io --version >/dev/null 2>&1") == 0;
  return have;
}

// What QEMU calls one of our formats.
inline std::string qemu_name_of(const std::string& format) {
  return format == "vhd" ? "vpc" : format;
}

// Runs a shell command in dir: its exit status; what it printed is in out.txt.
inline int run(const TempDir& dir, const std::string& command) {
  // The inner shell is the one that tells of a killed program, where nobody reads it.
  const std::string line =
      fmt::format("cd '{}' && sh -c \"{}; exit \\$?\" >out.txt 2>&1", dir.path(), command);
  int status = -1;
  // QEMU times its key derivation, and gives up where the clock of the processor stood still.
  for (int i = 0; i < 20; ++i) {
    status = std::system(line.c_str());
    if (status == 0 || read_file(dir / "out.txt").find("accurate CPU usage") == std::string::npos) {
      break;
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace platter::test

#define REQUIRE_QEMU() \
  if (!platter::test::have_qemu()) GTEST_SKIP() << "qemu-img and qemu-io are not installed"

#define MUST_RUN(dir, command)                                        \
  ASSERT_EQ(platter::test::run(dir, command), 0) << (command) << "\n" \
                                                 << platter::test::read_file((dir) / "out.txt")
