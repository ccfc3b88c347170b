// Background: the program goes on as a daemon once its mount answers.
#pragma once

#include <string>

#include "lib/base/result.h"
#include "lib/io/posix_file.h"

namespace platter::fusefs {

// The parent process stays until the child reports, so that its exit status and the one line on
// standard error are the child's. One thread, except ready().
class Background {
 public:
  // Forks; returns in the child only. The parent leaves with the child's status when that ends
  // early, with 0 when the mount at mountpoint (absolute) answers, and with failure when it does
  // not.
  static Result<Background> start(const std::string& mountpoint, int failure);

  // The kernel has the mount and waits for an answer to its first request: gives up the terminal,
  // the standard files and the current directory, and tells the parent. Any thread.
  void ready();

 private:
  explicit Background(Descriptor report) : report_(std::move(report)) {}
  Descriptor report_;
};

}  // namespace platter::fusefs
