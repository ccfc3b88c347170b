// This machine with Platter installed on it, as this process and its children alone see it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "tests/support/mount.h"

namespace platter::test {

// What `cmake --install` puts below a directory, for that prefix; a test failure when it fails.
void install_below(const std::string& root, const std::string& prefix);

// Makes a mount namespace for the process; what is mounted in it goes with it. Throws unless root.
void leave_the_machine_alone();

// mount(2); throws what it cannot.
void mount_at(const char* source, const std::string& target, const char* type, unsigned long flags,
              const std::string& options = "");

// /usr has what is installed, over what the machine has; everybody may use /dev/fuse; /run is
// empty; /etc/fstab is what a test says. Made once a process.
class PrivateSystem {
 public:
  static PrivateSystem& get();

  void set_fstab(const std::string& lines);
  // A directory that any user may look into, new for each call.
  std::string directory();

 private:
  PrivateSystem();
  ~PrivateSystem();

  TempDir dir_;
  int directories_ = 0;
};

// Watches over whatever programs mount at a directory. A mount there that lasts longer than the
// limit loses its connection with the kernel, and so does one that is left at the end.
class WatchedMountpoint {
 public:
  explicit WatchedMountpoint(std::string path,
                             std::chrono::seconds limit = std::chrono::seconds(60));
  ~WatchedMountpoint();
  WatchedMountpoint(const WatchedMountpoint&) = delete;
  WatchedMountpoint& operator=(const WatchedMountpoint&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // An empty type: nothing is mounted.
  MountEntry entry() const { return mount_entry(path_); }

 private:
  const std::string path_;
  std::mutex mutex_;
  std::condition_variable over_;
  bool finished_ = false;
  std::thread watchdog_;
};

}  // namespace platter::test
