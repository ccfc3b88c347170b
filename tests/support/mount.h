// Programs run and images mounted by tests, so that no test can hang on a filesystem.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/temp_dir.h"

namespace platter::test {

// The path of a program of this build: "platterfs", "platter".
std::string program(const std::string& name);

struct Outcome {
  int status = -1;  // exit status; 128 + the signal that ended it
  std::string out, err;
  double seconds = 0;
};
// Runs a program found by its path or in PATH; killed after the limit (status 137).
Outcome run(const std::vector<std::string>& command,
            std::chrono::seconds limit = std::chrono::seconds(30));

// Asks again and again, for 10 seconds at most, until the condition holds.
bool comes_true(const std::function<bool()>& condition);

// A platterfs of its own in the foreground. A watchdog ends the connection with the kernel when the
// mount lasts longer than the limit, so that whatever waits for it gets an error. When it goes the
// test fails if the program complained about anything or did not end well.
class Mount {
 public:
  // Returns once the mount answers; a test failure when it does not, see mounted().
  explicit Mount(const std::string& image, const std::vector<std::string>& options = {},
                 std::chrono::seconds limit = std::chrono::seconds(60));
  ~Mount();
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  bool mounted() const { return mounted_; }
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  pid_t pid() const { return pid_; }
  // What the program wrote to standard error so far.
  std::string messages() const;
  // Complaints are what the test is about.
  void expect_messages() { messages_expected_ = true; }

  // Ends the connection with the kernel: whatever waits for the mount gets an error.
  void abort_connection() const;

  // Waits for the program's end by itself: its exit status, or -1 after 10 seconds.
  int wait_for_end();

 private:
  void start(const std::string& image, const std::vector<std::string>& options);
  bool wait_until_mounted();
  void watch(std::chrono::seconds limit);

  TempDir dir_;
  std::string path_;
  pid_t pid_ = -1;
  int status_ = -1;
  bool ended_ = false, mounted_ = false, messages_expected_ = false;
  unsigned connection_ = 0;  // its number in /sys/fs/fuse/connections

  std::mutex mutex_;
  std::condition_variable over_;
  bool finished_ = false;
  std::thread watchdog_;
};

// Of the mount at that path, from the kernel's list: "/path/x.img", "fuse.platterfs",
// "ro,nosuid,…". Asks the mount itself nothing. Empty fields: nothing is mounted there.
struct MountEntry {
  std::string source, type, options;
  unsigned minor = 0;
};
MountEntry mount_entry(const std::string& path);

// Ends that connection with the kernel, a MountEntry's minor: whatever waits for the mount gets an
// error. False: it could not.
bool abort_connection(unsigned connection);

// A gtest failure when there is none.
struct stat stat_path(const std::string& path);

}  // namespace platter::test
