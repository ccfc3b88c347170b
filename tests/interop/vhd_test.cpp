// VHDs that Platter and QEMU write in turns, and what other readers see in them. Differencing disks
// go to libvhdi and 7-Zip alone: QEMU opens one as if it had no parent.
#include <filesystem>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/ops/check.h"
#include "lib/ops/child.h"
#include "lib/ops/create.h"
#include "lib/ops/resize.h"
#include "tests/interop/turns.h"
#include "tests/support/qemu.h"
#include "tests/support/rounds.h"

namespace platter::test {
namespace {

// As `platter create` does it.
Result<void> create_vhd_at(const std::string& path, uint64_t size, const Options& options,
                           const std::string& parent = "") {
  const Format& format = *find_format("vhd");
  CreateArgs args{.path = path, .format = format, .size = size, .options = options};
  if (!parent.empty()) {
    const NewParent described =
        TRY(describe_parent({.path = parent, .child = path, .child_format = &format}));
    args.size = described.size;
    args.parent = described.link;
  }
  return create_image(args);
}

bool have_program(const char* program) {
  return std::system(fmt::format("command -v {} >/dev/null 2>&1", program).c_str()) == 0;
}

class VhdInterop : public testing::Test {
 protected:
  void write_some(const std::string& path, std::string& model, int steps = 30) {
    auto container = Container::open(path, {.access = Access::write});
    ASSERT_TRUE(container) << container.error().message();
    Writer& writer = *(*container)->writer();
    ASSERT_EQ((*container)->live()->size(), model.size());
    for (int i = 0; i < steps; ++i) {
      const Result<void> done = change_at_random(writer, random_, model);
      ASSERT_TRUE(done) << done.error().message();
    }
    const Result<void> closed = writer.close();
    ASSERT_TRUE(closed) << closed.error().message();
  }

  void expect_we_see(const std::string& path, const std::string& model) {
    const auto container = Container::open(path);
    ASSERT_TRUE(container) << container.error().message();
    std::string seen((*container)->live()->size(), 'x');
    ASSERT_TRUE((*container)->live()->read(0, std::as_writable_bytes(std::span(seen))));
    ASSERT_TRUE(seen == model);
    const auto report = check_image({.path = path});
    ASSERT_TRUE(report) << report.error().message();
    ASSERT_EQ(report->corruptions, 0u) << report->messages[0];
  }

  void expect_qemu_sees(const std::string& model) {
    // Asked again, QEMU may round a size it takes from the geometry.
    MUST_RUN(dir_, "qemu-img convert -f vpc -O raw x.vhd qemu.raw");
    ASSERT_TRUE(read_file(dir_ / "qemu.raw") == model);
  }

  const TempDir dir_;
  std::mt19937_64 random_;
};

// `qemu-img create` options, or ours.
struct Variant {
  std::string name, qemu;
  Options ours;
  uint64_t size = 5 * MiB;
};

class VhdWrittenInTurns : public VhdInterop, public testing::WithParamInterface<Variant> {
 protected:
  void SetUp() override { REQUIRE_QEMU(); }

  void make_image() {
    const Variant& v = GetParam();
    MUST_RUN(dir_, "rm -f x.vhd");
    if (v.qemu.empty()) {
      const auto made = create_vhd_at(dir_ / "x.vhd", v.size, v.ours);
      ASSERT_TRUE(made) << made.error().message();
    } else {
      MUST_RUN(dir_, fmt::format("qemu-img create -q -f vpc {} x.vhd {}", v.qemu, v.size));
    }
    const auto container = Container::open(dir_ / "x.vhd");
    ASSERT_TRUE(container) << container.error().message();
    model_.assign((*container)->live()->size(), '\0');
    ASSERT_TRUE(!v.qemu.empty() || model_.size() == v.size);
  }

  void qemus_turn() {
    std::string script;
    for (int i = 0; i < 12; ++i) {
      const Range range = draw_sectors(random_, model_.size());
      const auto value = static_cast<unsigned char>(1 + random_() % 255);
      std::fill_n(model_.begin() + static_cast<long>(range.offset), range.length,
                  static_cast<char>(value));
      script += fmt::format(" -c 'write -P {} {} {}'", value, range.offset, range.length);
    }
    MUST_RUN(dir_, "qemu-io -f vpc" + script + " x.vhd");
  }

  void expect_agreement() {
    ASSERT_NO_FATAL_FAILURE(expect_qemu_sees(model_));
    ASSERT_NO_FATAL_FAILURE(expect_we_see(dir_ / "x.vhd", model_));
  }

  std::string model_;
};

TEST_P(VhdWrittenInTurns, ReadsTheSameToBoth) {
  for (unsigned seed = 0; seed < rounds(1); ++seed) {
    random_.seed(seed);
    ASSERT_NO_FATAL_FAILURE(make_image());
    for (int turn = 0; turn < 2; ++turn) {
      ASSERT_NO_FATAL_FAILURE(write_some(dir_ / "x.vhd", model_));
      ASSERT_NO_FATAL_FAILURE(expect_agreement());
      ASSERT_NO_FATAL_FAILURE(qemus_turn());
      ASSERT_NO_FATAL_FAILURE(expect_agreement());
    }
  }
}

TEST_P(VhdWrittenInTurns, ReadsTheSameToBothAfterItsSizeChanged) {
  ASSERT_NO_FATAL_FAILURE(make_image());
  for (const uint64_t size : {7 * MiB + 512, 30 * MiB, 3 * MiB + 1024}) {
    ASSERT_NO_FATAL_FAILURE(write_some(dir_ / "x.vhd", model_));
    const auto resized =
        resize_image({.path = dir_ / "x.vhd", .change = {.bytes = size}, .shrink = true});
    ASSERT_TRUE(resized) << resized.error().message();
    model_.resize(size);
    ASSERT_NO_FATAL_FAILURE(expect_agreement());
  }
  ASSERT_NO_FATAL_FAILURE(qemus_turn());
  ASSERT_NO_FATAL_FAILURE(expect_agreement());
}

INSTANTIATE_TEST_SUITE_P(
    Images, VhdWrittenInTurns,
    testing::Values(Variant{"qemu", "-o subformat=dynamic", {}},
                    Variant{"qemu_exact", "-o force_size=on", {}, 5 * MiB + 512},
                    Variant{"qemu_fixed", "-o subformat=fixed", {}},
                    Variant{"qemu_fixed_exact", "-o subformat=fixed,force_size=on", {}},
                    Variant{"ours", "", {}, 5 * MiB + 512},
                    Variant{"ours_fixed", "", {{"fixed", "on"}}, 5 * MiB + 512},
                    Variant{"ours_small_blocks", "", {{"block_size", "4k"}}},
                    Variant{"ours_large_blocks", "", {{"block_size", "16M"}}, 40 * MiB}),
    [](const auto& test) { return test.param.name; });

// What libvhdi takes for the size and the ids.
TEST_F(VhdInterop, LibvhdiSeesTheSameDisk) {
  if (!have_program("vhdiinfo")) GTEST_SKIP() << "vhdiinfo is not installed";
  for (const char* fixed : {"off", "on"}) {
    ASSERT_TRUE(create_vhd_at(dir_ / "x.vhd", 5 * MiB + 512, {{"fixed", fixed}}));
    std::string model(5 * MiB + 512, '\0');
    ASSERT_NO_FATAL_FAILURE(write_some(dir_ / "x.vhd", model));
    const auto container = Container::open(dir_ / "x.vhd");
    ASSERT_TRUE(container);
    MUST_RUN(dir_, "vhdiinfo x.vhd");
    const std::string said = read_file(dir_ / "out.txt");
    EXPECT_NE(said.find("5243392 bytes"), std::string::npos) << said;
    EXPECT_NE(said.find((*container)->info().uuid->to_string()), std::string::npos) << said;
    MUST_RUN(dir_, "rm x.vhd");
  }
}

// A child and its parent, both ours, written to; 7-Zip unpacks what they show together.
TEST_F(VhdInterop, SevenZipReadsThroughAChild) {
  if (!have_program("7z")) GTEST_SKIP() << "7z is not installed";
  for (const char* fixed : {"off", "on"}) {
    MUST_RUN(dir_, "rm -rf *.vhd out");
    ASSERT_TRUE(create_vhd_at(dir_ / "base.vhd", 5 * MiB, {{"fixed", fixed}}));
    std::string model(5 * MiB, '\0');
    ASSERT_NO_FATAL_FAILURE(write_some(dir_ / "base.vhd", model));
    const auto made = create_vhd_at(dir_ / "x.vhd", 0, {}, dir_ / "base.vhd");
    ASSERT_TRUE(made) << made.error().message();
    for (int turn = 0; turn < 3; ++turn) {
      ASSERT_NO_FATAL_FAILURE(write_some(dir_ / "x.vhd", model));
      ASSERT_NO_FATAL_FAILURE(expect_we_see(dir_ / "x.vhd", model));
      MUST_RUN(dir_, "7z e -y -tvhd -so x.vhd > seven.raw 2>seven.txt");
      ASSERT_TRUE(read_file(dir_ / "seven.raw") == model) << read_file(dir_ / "seven.txt");
    }
    if (have_program("vhdiinfo")) {
      MUST_RUN(dir_, "vhdiinfo x.vhd");
      const std::string said = read_file(dir_ / "out.txt");
      EXPECT_NE(said.find("base.vhd"), std::string::npos) << said;
      EXPECT_NE(said.find("Differential"), std::string::npos) << said;
    }
  }
}

TEST_F(VhdInterop, SevenZipReadsThroughAGrandchild) {
  if (!have_program("7z")) GTEST_SKIP() << "7z is not installed";
  ASSERT_TRUE(create_vhd_at(dir_ / "base.vhd", 5 * MiB, {}));
  std::string model(5 * MiB, '\0');
  ASSERT_NO_FATAL_FAILURE(write_some(dir_ / "base.vhd", model));
  ASSERT_TRUE(create_vhd_at(dir_ / "middle.vhd", 0, {}, dir_ / "base.vhd"));
  ASSERT_NO_FATAL_FAILURE(write_some(dir_ / "middle.vhd", model, 8));
  ASSERT_TRUE(create_vhd_at(dir_ / "x.vhd", 0, {}, dir_ / "middle.vhd"));
  ASSERT_NO_FATAL_FAILURE(write_some(dir_ / "x.vhd", model, 8));
  ASSERT_NO_FATAL_FAILURE(expect_we_see(dir_ / "x.vhd", model));
  MUST_RUN(dir_, "7z e -y -tvhd -so x.vhd > seven.raw 2>seven.txt");
  ASSERT_TRUE(read_file(dir_ / "seven.raw") == model) << read_file(dir_ / "seven.txt");
}

TEST_F(VhdInterop, QemuReadsARepairedDisk) {
  REQUIRE_QEMU();
  MUST_RUN(dir_, "qemu-img create -q -f vpc -o force_size=on x.vhd 8M");
  MUST_RUN(dir_, "qemu-io -f vpc -c 'write -P 7 0 8M' x.vhd");
  const uint64_t size = std::filesystem::file_size(dir_ / "x.vhd");
  std::filesystem::resize_file(dir_ / "x.vhd", size - 512);
  ASSERT_TRUE(check_image({.path = dir_ / "x.vhd", .repair = Repair::all}));
  ASSERT_NO_FATAL_FAILURE(expect_qemu_sees(std::string(8 * MiB, '\x07')));
  EXPECT_EQ(std::filesystem::file_size(dir_ / "x.vhd"), size);
}

}  // namespace
}  // namespace platter::test
