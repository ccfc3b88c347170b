#include "tests/packaging/throwaway_root.h"

#include <sys/mount.h>

#include <filesystem>

#include "tests/packaging/private_system.h"

namespace platter::test {

ThrowawayRoot::ThrowawayRoot() {
  leave_the_machine_alone();
  mount_at("tmpfs", dir_.path(), "tmpfs", 0, "mode=0755");
  for (const char* name : {"root", "changed", "work"}) {
    std::filesystem::create_directory(dir_ / name);
  }
  root_ = std::filesystem::canonical(dir_ / "root");
  mount_at("overlay", root_, "overlay", 0,
           "lowerdir=/,upperdir=" + dir_ / "changed" + ",workdir=" + dir_ / "work");
  for (const std::string name : {"/dev", "/proc", "/sys"}) {
    mount_at(name.c_str(), root_ + name, nullptr, MS_BIND | MS_REC);
  }
  mount_at("tmpfs", root_ + "/run", "tmpfs", 0, "mode=0755");
}

ThrowawayRoot::~ThrowawayRoot() {
  umount2(root_.c_str(), MNT_DETACH);
  umount2(dir_.path().c_str(), MNT_DETACH);
}

Outcome ThrowawayRoot::run(std::vector<std::string> command) const {
  command.insert(command.begin(), {"chroot", root_});
  return test::run(command, std::chrono::seconds(60));
}

}  // namespace platter::test
