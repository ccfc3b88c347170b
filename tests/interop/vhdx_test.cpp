// VHDX images that Platter and QEMU write in turns: after each turn both must read what a model
// says. Differencing images, which QEMU does not know, are read by 7-Zip and libvhdi.
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/ops/check.h"
#include "lib/ops/child.h"
#include "lib/ops/create.h"
#include "tests/interop/turns.h"
#include "tests/support/qemu.h"
#include "tests/support/rounds.h"

namespace platter::test {
namespace {

struct Variant {
  std::string name;
  uint64_t size = 0;  // of the disk
  bool ours = false;  // made by us
  std::string subformat = "dynamic";
  std::string block_size = "1M";
};

// As `platter create` does it.
Result<void> create(const std::string& path, uint64_t size, const Options& options,
                    const std::string& parent = "") {
  const Format& format = *find_format("vhdx");
  CreateArgs args{.path = path, .format = format, .size = size, .options = options};
  if (!parent.empty()) {
    const NewParent described =
        TRY(describe_parent({.path = parent, .child = path, .child_format = &format}));
    args.size = described.size;
    args.parent = described.link;
  }
  return create_image(args);
}

Result<void> change(const std::string& path, std::mt19937_64& random, std::string& model) {
  const auto container = TRY(Container::open(path, {.access = Access::write}));
  for (int i = 0; i < 30; ++i) TRY(change_at_random(*container->writer(), random, model));
  return container->writer()->close();
}

void expect_reads(const std::string& path, const std::string& model) {
  const auto container = Container::open(path);
  ASSERT_TRUE(container) << container.error().message();
  std::string seen(model.size(), 'x');
  ASSERT_EQ((*container)->live()->size(), model.size());
  ASSERT_TRUE((*container)->live()->read(0, std::as_writable_bytes(std::span(seen))));
  ASSERT_TRUE(seen == model);
  const auto report = check_image({.path = path});
  ASSERT_TRUE(report) << report.error().message();
  ASSERT_EQ(report->corruptions, 0u) << report->messages[0];
}

class VhdxWrittenInTurns : public testing::TestWithParam<Variant> {
 protected:
  void SetUp() override { REQUIRE_QEMU(); }

  void make_image() {
    const Variant& v = GetParam();
    model_.assign(v.size, '\0');
    MUST_RUN(dir_, "rm -f x.vhdx");
    if (v.ours) {
      const auto made = create(dir_ / "x.vhdx", v.size,
                               {{"subformat", v.subformat}, {"block_size", v.block_size}});
      ASSERT_TRUE(made) << made.error().message();
      return;
    }
    MUST_RUN(dir_, fmt::format("qemu-img create -q -f vhdx -o subformat={},block_size={} x.vhdx {}",
                               v.subformat, v.block_size, v.size));
  }

  void qemus_turn() {
    std::string script;
    for (int i = 0; i < 8; ++i) {
      const Range range = draw_sectors(random_, model_.size());
      const auto value = static_cast<unsigned char>(1 + random_() % 255);
      std::fill_n(model_.begin() + static_cast<long>(range.offset), range.length,
                  static_cast<char>(value));
      script += fmt::format(" -c 'write -P {} {} {}'", value, range.offset, range.length);
    }
    MUST_RUN(dir_, "qemu-io -f vhdx" + script + " x.vhdx");
  }

  void expect_agreement() {
    MUST_RUN(dir_, "qemu-img check -q -f vhdx x.vhdx");
    MUST_RUN(dir_, "qemu-img convert -f vhdx -O raw x.vhdx qemu.raw");
    ASSERT_TRUE(read_file(dir_ / "qemu.raw") == model_);
    ASSERT_NO_FATAL_FAILURE(expect_reads(dir_ / "x.vhdx", model_));
  }

  TempDir dir_;
  std::mt19937_64 random_;
  std::string model_;
};

TEST_P(VhdxWrittenInTurns, ReadsTheSameToBoth) {
  for (unsigned seed = 0; seed < rounds(1); ++seed) {
    random_.seed(seed);
    ASSERT_NO_FATAL_FAILURE(make_image());
    for (int turn = 0; turn < 3; ++turn) {
      const Result<void> done = change(dir_ / "x.vhdx", random_, model_);
      ASSERT_TRUE(done) << done.error().message();
      ASSERT_NO_FATAL_FAILURE(expect_agreement());
      ASSERT_NO_FATAL_FAILURE(qemus_turn());
      ASSERT_NO_FATAL_FAILURE(expect_agreement());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Images, VhdxWrittenInTurns,
    testing::Values(Variant{"dynamic", 5 * MiB + 512}, Variant{"fixed", 5 * MiB, false, "fixed"},
                    Variant{"dynamic_2M", 9 * MiB, false, "dynamic", "2M"},
                    Variant{"our_dynamic", 5 * MiB + 512, true},
                    Variant{"our_fixed", 5 * MiB, true, "fixed"},
                    Variant{"our_dynamic_8M", 17 * MiB + 512, true, "dynamic", "8M"}),
    [](const auto& test) { return test.param.name; });

TEST(VhdxGrown, IsReadAndWrittenByQemu) {
  REQUIRE_QEMU();
  const TempDir dir;
  MUST_RUN(dir, "qemu-img create -q -f vhdx -o block_size=1M x.vhdx 3M");
  MUST_RUN(dir, "qemu-io -c 'write -P 7 2M 64k' x.vhdx");
  {
    auto container = Container::open(dir / "x.vhdx", {.access = Access::write});
    ASSERT_TRUE(container) << container.error().message();
    // The BAT does not stay where it was.
    ASSERT_TRUE((*container)->writer()->grow(300'000 * MiB));
    ASSERT_TRUE((*container)->writer()->close());
  }
  MUST_RUN(dir,
           "qemu-io -c 'read -P 7 2M 64k' -c 'read -P 0 3M 64k' -c 'write -P 9 250G 5120' x.vhdx");
  MUST_RUN(dir, "qemu-img check -q x.vhdx");
  auto container = Container::open(dir / "x.vhdx");
  ASSERT_TRUE(container) << container.error().message();
  std::byte last{};
  ASSERT_TRUE((*container)->live()->read(250 * GiB + 5119, MutableBytes(&last, 1)));
  EXPECT_EQ(last, std::byte{9});
  EXPECT_EQ(check_image({.path = dir / "x.vhdx"})->corruptions, 0u);
}

TEST(VhdxOfQemu, ReadsTheSameInEveryVariant) {
  REQUIRE_QEMU();
  const TempDir dir;
  std::mt19937_64 random(1);
  std::string model(20 * MiB, '\0');
  for (int i = 0; i < 20; ++i) {
    const Range range = draw_sectors(random, model.size() / 4);
    std::fill_n(model.begin() + static_cast<long>(4 * range.offset), range.length,
                static_cast<char>(random()));
  }
  write_file(dir / "disk.raw", model);
  for (const char* options :
       {"subformat=dynamic", "subformat=fixed,block_size=2M", "block_size=1M,log_size=4M",
        "block_size=256M", "block_state_zero=off,block_size=4M"}) {
    MUST_RUN(dir, fmt::format("qemu-img convert -f raw -O vhdx -o {} disk.raw x.vhdx", options));
    ASSERT_NO_FATAL_FAILURE(expect_reads(dir / "x.vhdx", model)) << options;
  }
}

bool have(const std::string& program) {
  return std::system(fmt::format("command -v {} >/dev/null 2>&1", program).c_str()) == 0;
}

// A child over a child over a base, each with changes of its own.
void make_chain(const TempDir& dir, uint64_t seed, const std::string& sectors, std::string& model) {
  std::mt19937_64 random(seed);
  const Options options{{"block_size", "1M"}, {"logical_sector_size", sectors}};
  const auto made = create(dir / "base.vhdx", model.size(), options);
  ASSERT_TRUE(made) << made.error().message();
  std::string parent = dir / "base.vhdx";
  for (const char* name : {"", "middle.vhdx", "top.vhdx"}) {
    if (*name != '\0') {
      const auto child = create(dir / name, 0, options, parent);
      ASSERT_TRUE(child) << child.error().message();
      parent = dir / name;
    }
    const Result<void> done = change(parent, random, model);
    ASSERT_TRUE(done) << done.error().message();
  }
  ASSERT_NO_FATAL_FAILURE(expect_reads(dir / "top.vhdx", model));
}

TEST(VhdxChildren, ReadTheSameToSevenZip) {
  if (!have("7z")) GTEST_SKIP() << "7z is not installed";
  for (const char* sectors : {"512", "4096"}) {
    for (unsigned seed = 0; seed < rounds(2); ++seed) {
      const TempDir dir;
      std::string model(6 * MiB + 8192, '\0');
      ASSERT_NO_FATAL_FAILURE(make_chain(dir, seed, sectors, model));
      MUST_RUN(dir, "7z e -so top.vhdx 2>7z.txt >7z.raw");
      EXPECT_TRUE(read_file(dir / "7z.raw") == model) << sectors;
    }
  }
}

TEST(VhdxChildren, AreUnderstoodByLibvhdi) {
  if (!have("vhdiinfo")) GTEST_SKIP() << "vhdiinfo is not installed";
  const TempDir dir;
  std::string model(3 * MiB, '\0');
  ASSERT_NO_FATAL_FAILURE(make_chain(dir, 1, "512", model));
  MUST_RUN(dir, "vhdiinfo top.vhdx && cp out.txt info.txt");
  const std::string info = read_file(dir / "info.txt");
  EXPECT_NE(info.find("Differential"), std::string::npos) << info;
  const auto container = Container::open(dir / "top.vhdx");
  ASSERT_TRUE(container) << container.error().message();
  const auto& parent = (*container)->info().parent->modification_uuid;
  EXPECT_NE(info.find(parent->to_string()), std::string::npos) << info;
}

}  // namespace
}  // namespace platter::test
