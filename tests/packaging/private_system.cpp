#include "tests/packaging/private_system.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include <gtest/gtest.h>

namespace platter::test {
namespace {

void must(int result, const std::string& what) {
  if (result != 0) throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

void mount_at(const char* source, const std::string& target, const char* type, unsigned long flags,
              const std::string& options) {
  must(mount(source, target.c_str(), type, flags, options.c_str()), "mount at " + target);
}

void install_below(const std::string& root, const std::string& prefix) {
  const Outcome installed =
      run({"env", "DESTDIR=" + root, "cmake", "--install", PLATTER_BIN_DIR, "--prefix", prefix});
  EXPECT_EQ(installed.status, 0) << installed.err;
}

void leave_the_machine_alone() {
  static bool done = false;
  if (done) return;
  must(unshare(CLONE_NEWNS), "a mount namespace (needs root)");
  mount_at("none", "/", nullptr, MS_REC | MS_PRIVATE);
  done = true;
}

PrivateSystem& PrivateSystem::get() {
  static PrivateSystem system;
  return system;
}

PrivateSystem::PrivateSystem() {
  leave_the_machine_alone();
  mount_at("tmpfs", dir_.path(), "tmpfs", 0, "mode=0755");
  install_below(dir_ / "installed", "/usr");
  mount_at("overlay", "/usr", "overlay", MS_RDONLY, "lowerdir=" + dir_ / "installed/usr:/usr");
  const std::string device = dir_ / "fuse";
  constexpr unsigned kMajor = 10, kMinor = 229;  // Linux, Documentation/admin-guide/devices.txt
  must(mknod(device.c_str(), S_IFCHR | 0666, makedev(kMajor, kMinor)), device);
  must(chmod(device.c_str(), 0666), device);
  mount_at(device.c_str(), "/dev/fuse", nullptr, MS_BIND);
  mount_at("tmpfs", "/run", "tmpfs", 0, "mode=0755");
  set_fstab("");
  mount_at((dir_ / "fstab").c_str(), "/etc/fstab", nullptr, MS_BIND);
}

PrivateSystem::~PrivateSystem() { umount2(dir_.path().c_str(), MNT_DETACH); }

void PrivateSystem::set_fstab(const std::string& lines) { write_file(dir_ / "fstab", lines); }

std::string PrivateSystem::directory() {
  const std::string made = dir_ / std::to_string(++directories_);
  must(mkdir(made.c_str(), 0755), made);
  return std::filesystem::canonical(made);
}

WatchedMountpoint::WatchedMountpoint(std::string path, std::chrono::seconds limit)
    : path_(std::move(path)) {
  mkdir(path_.c_str(), 0755);
  watchdog_ = std::thread([this, limit] {
    std::unique_lock lock(mutex_);
    if (over_.wait_for(lock, limit, [this] { return finished_; })) return;
    ADD_FAILURE() << path_ << ": the mount hung: its connection is ended";
    if (!entry().type.empty()) abort_connection(entry().minor);
  });
}

WatchedMountpoint::~WatchedMountpoint() {
  if (const MountEntry left = entry(); !left.type.empty()) {
    abort_connection(left.minor);
    umount2(path_.c_str(), MNT_DETACH);
    const std::string connection = "/sys/fs/fuse/connections/" + std::to_string(left.minor);
    EXPECT_TRUE(comes_true([&] { return access(connection.c_str(), F_OK) != 0; }))
        << path_ << ": platterfs did not end with its mount";
  }
  {
    const std::lock_guard lock(mutex_);
    finished_ = true;
  }
  over_.notify_all();
  watchdog_.join();
}

}  // namespace platter::test
