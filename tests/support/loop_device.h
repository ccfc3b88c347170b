// Loop devices over files of a mount, and the filesystems on them.
#pragma once

#include <string>

namespace platter::test {

// Empty: loop devices can be used. Else why not, for GTEST_SKIP().
std::string no_loop_devices();

// Detached when it goes; a test failure when there is none to be had.
class LoopDevice {
 public:
  // direct: it passes the page cache of the file by.
  explicit LoopDevice(const std::string& file, bool direct = false);
  ~LoopDevice();
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  const std::string& path() const { return path_; }  // empty: there is none

 private:
  std::string path_;
};

// What a test needs to know of a filesystem.
struct FilesystemKind {
  std::string name;  // of mount(8) and mkfs
  bool available() const;
  // On a whole device, quickly. Empty: it worked; else what was said.
  std::string make(const std::string& device) const;
  // What fsck finds wrong, without mending it; empty: nothing.
  std::string fault(const std::string& device) const;
};

// Unmounted when it goes, whatever still uses it.
class MountedFilesystem {
 public:
  // The directory is made when it is missing. options: of mount(8), may be empty.
  MountedFilesystem(const std::string& device, const std::string& kind, std::string directory,
                    const std::string& options = "");
  ~MountedFilesystem();
  MountedFilesystem(const MountedFilesystem&) = delete;
  MountedFilesystem& operator=(const MountedFilesystem&) = delete;
  const std::string& error() const { return error_; }  // empty: it is mounted
  const std::string& path() const { return directory_; }
  // In good order: a test failure when something still uses it.
  void unmount();

 private:
  std::string directory_, error_;
  bool mounted_ = false;
};

}  // namespace platter::test
