// What we write into VDIs that QEMU understands, QEMU reads, and finds nothing wrong with.
#include <sys/wait.h>

#include <cstdlib>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

bool have_qemu() {
  static const bool have = std::system("qemu-img --version >/dev/null 2>&1") == 0;
  return have;
}

class VdiWrittenInterop : public testing::Test {
 protected:
  void SetUp() override {
    if (!have_qemu()) GTEST_SKIP() << "qemu-img is not installed";
  }
  void run(const std::string& command) {
    const int status =
        std::system(fmt::format("cd '{}' && ({}) >out.txt 2>&1", dir_.path(), command).c_str());
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command << "\n"
                                                               << test::read_file(dir_ / "out.txt");
  }
  // Writes, zeroes and discards, the same to the VDI and to a raw disk beside it.
  void write_both(uint64_t seed) {
    const auto vdi = Container::open(dir_ / "a.vdi", {.access = Access::write, .lock = true});
    const auto raw = Container::open(dir_ / "a.raw", {.format = "raw", .access = Access::write});
    ASSERT_TRUE(vdi) << vdi.error().message();
    ASSERT_TRUE(raw) << raw.error().message();
    std::mt19937_64 random(seed);
    const uint64_t size = (*vdi)->live()->size();
    for (int step = 1; step <= 60; ++step) {
      const Range range = intersect({random() % size, 1 + random() % (2 * MiB)}, {0, size});
      const std::vector<std::byte> data(range.length, static_cast<std::byte>(step));
      const auto what = random() % 5;
      for (Writer* disk : {(*vdi)->writer(), (*raw)->writer()}) {
        const auto done = what == 0   ? disk->zero(range, File::Zero::keep_space)
                          : what == 1 ? disk->discard(range)
                                      : disk->write(range.offset, data);
        ASSERT_TRUE(done) << done.error().message();
      }
    }
    ASSERT_TRUE((*vdi)->writer()->close());
    ASSERT_TRUE((*raw)->writer()->close());
  }
  void resize_both(uint64_t size) {
    for (const char* name : {"a.vdi", "a.raw"}) {
      const auto container =
          Container::open(dir_ / name, {.format = std::string(name + 2), .access = Access::write});
      ASSERT_TRUE(container);
      const auto done = (*container)->chain().front().image->resize(size);
      ASSERT_TRUE(done) << done.error().message();
    }
  }
  void expect_qemu_agrees() {
    run("qemu-img check -f vdi a.vdi");
    run("qemu-img compare -f vdi -F raw a.vdi a.raw");
  }
  const test::TempDir dir_;
};

TEST_F(VdiWrittenInterop, QemuReadsWhatWeWriteIntoItsImages) {
  for (const char* options : {"static=off", "static=on"}) {
    run(fmt::format("rm -f a.*; qemu-img create -f vdi -o {} a.vdi 20971008", options));
    run("truncate -s 20971008 a.raw");
    for (uint64_t seed = 0; seed < 3; ++seed) {
      write_both(seed);
      expect_qemu_agrees();
    }
  }
}

// QEMU's map has room for 128 entries in front of its data.
TEST_F(VdiWrittenInterop, QemuReadsWhatWeHaveGrown) {
  run("qemu-img create -f vdi a.vdi 20M && truncate -s 20M a.raw");
  for (const uint64_t size : {21 * MiB, 100 * MiB, 200 * MiB, 3 * GiB}) {
    write_both(size);
    resize_both(size);
    expect_qemu_agrees();
  }
}

}  // namespace
}  // namespace platter
