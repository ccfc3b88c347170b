#include "tests/support/loop_device.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/support/mount.h"

namespace platter::test {

std::string no_loop_devices() {
  if (geteuid() != 0) return "needs root for a loop device";
  if (access("/dev/loop-control", F_OK) != 0) return "the host has no loop devices";
  return run({"losetup", "--find"}).status == 0 ? "" : "no loop device can be had here";
}

LoopDevice::LoopDevice(const std::string& file, bool direct) {
  const std::string mode = direct ? "--direct-io=on" : "--direct-io=off";
  const Outcome made = run({"losetup", "--find", "--show", mode, file});
  EXPECT_EQ(made.status, 0) << made.err;
  if (made.status == 0) path_ = made.out.substr(0, made.out.find('\n'));
}

LoopDevice::~LoopDevice() {
  if (path_.empty()) return;
  const Outcome detached = run({"losetup", "--detach", path_});
  EXPECT_EQ(detached.status, 0) << detached.err;
  // It lets go of the file a moment later, when nobody has the device open.
  EXPECT_TRUE(comes_true([&] {
    return run({"losetup", path_}).status != 0;
  })) << path_
      << " stays attached";
}

bool FilesystemKind::available() const {
  return run({"sh", "-c", "command -v mkfs." + name}).status == 0;
}

std::string FilesystemKind::make(const std::string& device) const {
  const Outcome made = run({"mkfs." + name, "-q", name == "ext4" ? "-F" : "-f", device});
  return made.status == 0 ? "" : "mkfs." + name + ": " + made.out + made.err;
}

std::string FilesystemKind::fault(const std::string& device) const {
  const Outcome checked =
      name == "ext4" ? run({"e2fsck", "-f", "-n", device}) : run({"xfs_repair", "-n", device});
  return checked.status == 0 ? "" : checked.out + checked.err;
}

MountedFilesystem::MountedFilesystem(const std::string& device, const std::string& kind,
                                     std::string directory, const std::string& options)
    : directory_(std::move(directory)) {
  mkdir(directory_.c_str(), 0755);
  std::vector<std::string> command = {"mount", "-t", kind, device, directory_};
  if (!options.empty()) command.insert(command.begin() + 1, {"-o", options});
  const Outcome outcome = run(command);
  mounted_ = outcome.status == 0;
  if (!mounted_) error_ = "mount: " + outcome.err;
}

void MountedFilesystem::unmount() {
  EXPECT_EQ(run({"umount", directory_}).status, 0) << directory_;
  mounted_ = !mount_entry(directory_).type.empty();
}

MountedFilesystem::~MountedFilesystem() {
  if (mounted_ && umount2(directory_.c_str(), 0) != 0) umount2(directory_.c_str(), MNT_DETACH);
}

}  // namespace platter::test
