// ChildProcess: a program that runs beside a test and ends with it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace platter::test {

class ChildProcess {
 public:
  // Found by its path or in PATH; says nothing to anybody.
  explicit ChildProcess(const std::vector<std::string>& command);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

}  // namespace platter::test
