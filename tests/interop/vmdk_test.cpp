// VMDKs that Platter and QEMU write in turns: after each turn both must read what a model says.
#include <filesystem>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/ops/check.h"
#include "lib/ops/child.h"
#include "lib/ops/create.h"
#include "lib/ops/set.h"
#include "tests/interop/turns.h"
#include "tests/support/bytes.h"
#include "tests/support/qemu.h"
#include "tests/support/rounds.h"

namespace platter::test {
namespace {

struct Variant {
  std::string name;
  uint64_t size = 0;         // of the disk
  bool child = false;        // over a VMDK that is shorter
  std::string qemu_options;  // made by QEMU with these; empty: made by us
  Options options = {};      // ours
};

Result<void> create(const std::string& path, uint64_t size, const Options& options,
                    const std::string& parent = "") {
  const Format& format = *find_format("vmdk");
  CreateArgs args{.path = path, .format = format, .size = size, .options = options};
  if (!parent.empty()) {
    const NewParent described = TRY(describe_parent(
        {.path = parent, .format = "vmdk", .child = path, .child_format = &format}));
    args.parent = described.link;
  }
  return create_image(args);
}

class VmdkWrittenInTurns : public testing::TestWithParam<Variant> {
 protected:
  void SetUp() override { REQUIRE_QEMU(); }
  void make_image();
  void our_turn();
  void qemus_turn();
  void expect_agreement();

  TempDir dir_;
  std::mt19937_64 random_;
  std::string model_;
};

void VmdkWrittenInTurns::make_image() {
  const Variant& v = GetParam();
  model_.assign(v.size, '\0');
  MUST_RUN(dir_, "rm -f *.vmdk");
  if (v.child) {
    write_file(dir_ / "base.raw", make_parent(model_));
    MUST_RUN(dir_, "qemu-img convert -q -f raw -O vmdk base.raw base.vmdk");
  }
  if (!v.qemu_options.empty()) {
    MUST_RUN(dir_, fmt::format("qemu-img create -q -f vmdk -o {} {} x.vmdk {}", v.qemu_options,
                               v.child ? "-b base.vmdk -F vmdk" : "", v.size));
    return;
  }
  const auto made = create(dir_ / "x.vmdk", v.size, v.options, v.child ? dir_ / "base.vmdk" : "");
  ASSERT_TRUE(made) << made.error().message();
}

void VmdkWrittenInTurns::our_turn() {
  auto container = Container::open(dir_ / "x.vmdk", {.access = Access::write});
  ASSERT_TRUE(container) << container.error().message();
  Writer& writer = *(*container)->writer();
  for (int i = 0; i < 30; ++i) {
    const Result<void> done = change_at_random(writer, random_, model_);
    ASSERT_TRUE(done) << done.error().message();
  }
  const Result<void> closed = writer.close();
  ASSERT_TRUE(closed) << closed.error().message();
}

void VmdkWrittenInTurns::qemus_turn() {
  std::string script;
  for (int i = 0; i < 12; ++i) {
    const Range range = draw_sectors(random_, model_.size());
    const bool zero = random_() % 4 == 0;
    const auto value = static_cast<unsigned char>(zero ? 0 : 1 + random_() % 255);
    std::fill_n(model_.begin() + static_cast<long>(range.offset), range.length,
                static_cast<char>(value));
    const std::string how = zero ? "-z" : fmt::format("-P {}", value);
    script += fmt::format(" -c 'write {} {} {}'", how, range.offset, range.length);
  }
  MUST_RUN(dir_, "qemu-io -f vmdk" + script + " x.vmdk");
}

void VmdkWrittenInTurns::expect_agreement() {
  MUST_RUN(dir_, "qemu-img check -q x.vmdk && qemu-img convert -f vmdk -O raw x.vmdk qemu.raw");
  ASSERT_TRUE(read_file(dir_ / "qemu.raw") == model_);
  const auto container = Container::open(dir_ / "x.vmdk");
  ASSERT_TRUE(container) << container.error().message();
  EXPECT_FALSE((*container)->info().dirty);
  std::string seen(model_.size(), 'x');
  ASSERT_TRUE((*container)->live()->read(0, std::as_writable_bytes(std::span(seen))));
  ASSERT_TRUE(seen == model_);
  const auto report = check_image({.path = dir_ / "x.vmdk"});
  ASSERT_TRUE(report) << report.error().message();
  ASSERT_EQ(report->corruptions, 0u) << report->messages[0];
}

TEST_P(VmdkWrittenInTurns, ReadsTheSameToBoth) {
  for (unsigned seed = 0; seed < rounds(2); ++seed) {
    random_.seed(seed);
    ASSERT_NO_FATAL_FAILURE(make_image());
    for (int turn = 0; turn < 3; ++turn) {
      ASSERT_NO_FATAL_FAILURE(our_turn());
      ASSERT_NO_FATAL_FAILURE(expect_agreement());
      ASSERT_NO_FATAL_FAILURE(qemus_turn());
      ASSERT_NO_FATAL_FAILURE(expect_agreement());
    }
    const auto repaired = check_image({.path = dir_ / "x.vmdk", .repair = Repair::all});
    ASSERT_TRUE(repaired) << repaired.error().message();
    ASSERT_EQ(repaired->leaks, 0u);
    ASSERT_NO_FATAL_FAILURE(expect_agreement());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Images, VmdkWrittenInTurns,
    testing::Values(
        Variant{"qemus", 3 * MiB + 512, false, "subformat=monolithicSparse"},
        Variant{"qemus_zeroed", 3 * MiB, false, "zeroed_grain=on"},
        Variant{"qemus_flat", 3 * MiB, false, "subformat=monolithicFlat"},
        Variant{"qemus_split", 3 * MiB, false, "subformat=twoGbMaxExtentSparse"},
        Variant{"qemus_child", 3 * MiB, true, "zeroed_grain=off"},
        Variant{"qemus_zeroed_child", 3 * MiB, true, "zeroed_grain=on"},
        Variant{"ours", 3 * MiB + 512, false, ""},
        Variant{"our_small_grains", 3 * MiB + 512, false, "", {{"grain_size", "4k"}}},
        Variant{"our_zeroed", 3 * MiB, false, "", {{"zeroed_grain", "on"}}},
        Variant{"our_child", 3 * MiB, true, "", {{"zeroed_grain", "on"}, {"grain_size", "8k"}}},
        Variant{"our_plain_child", 3 * MiB, true, ""},
        Variant{"our_flat", 3 * MiB + 512, false, "", {{"subformat", "monolithicFlat"}}},
        Variant{"our_vmfs", 3 * MiB, false, "", {{"subformat", "vmfs"}}},
        Variant{"our_split",
                3 * MiB + 512,
                false,
                "",
                {{"subformat", "twoGbMaxExtentSparse"}, {"extent_size", "1M"}}},
        Variant{"our_split_flat",
                3 * MiB + 512,
                false,
                "",
                {{"subformat", "twoGbMaxExtentFlat"}, {"extent_size", "1M"}}}),
    [](const auto& test) { return test.param.name; });

// From one sector of entries of the directory to more than it has room for.
TEST(VmdkGrown, IsReadAndWrittenByQemu) {
  REQUIRE_QEMU();
  const TempDir dir;
  for (const char* options : {"zeroed_grain=off", "zeroed_grain=on"}) {
    MUST_RUN(dir, fmt::format("rm -f x.vmdk && qemu-img create -q -f vmdk -o {} x.vmdk 3M && "
                              "qemu-io -c 'write -P 7 2M 64k' x.vmdk",
                              options));
    for (const uint64_t size : {900 * MiB, 9 * GiB}) {
      auto container = Container::open(dir / "x.vmdk", {.access = Access::write});
      ASSERT_TRUE(container) << container.error().message();
      const Result<void> grown = (*container)->writer()->grow(size);
      ASSERT_TRUE(grown) << grown.error().message();
      ASSERT_TRUE((*container)->writer()->write(size - 100, pattern(0, 100, 1)));
      ASSERT_TRUE((*container)->writer()->close());
    }
    MUST_RUN(dir,
             "qemu-io -c 'read -P 7 2M 64k' -c 'read -P 0 3M 64k' -c 'write -P 9 8000M 5000' "
             "-c 'write -P 8 800M 5000' x.vmdk && qemu-img check -q x.vmdk");
    auto container = Container::open(dir / "x.vmdk");
    ASSERT_TRUE(container) << container.error().message();
    std::byte last{};
    ASSERT_TRUE((*container)->live()->read(8000 * MiB + 4999, MutableBytes(&last, 1)));
    EXPECT_EQ(last, std::byte{9});
    ASSERT_TRUE((*container)->live()->read(9 * GiB - 1, MutableBytes(&last, 1)));
    EXPECT_EQ(last, pattern_at(99, 1));
    EXPECT_EQ(check_image({.path = dir / "x.vmdk"})->corruptions, 0u);
  }
}

TEST(VmdkParent, ThatWasChangedSinceIsRefusedByBoth) {
  REQUIRE_QEMU();
  const TempDir dir;
  ASSERT_TRUE(create(dir / "base.vmdk", MiB, {}));
  ASSERT_TRUE(create(dir / "child.vmdk", MiB, {}, dir / "base.vmdk"));
  MUST_RUN(dir, "qemu-io -r -c 'read 0 64k' child.vmdk");
  {
    auto container = Container::open(dir / "base.vmdk", {.access = Access::write});
    ASSERT_TRUE(container);
    ASSERT_TRUE((*container)->writer()->write(0, pattern(0, 512, 1)));
    ASSERT_TRUE((*container)->writer()->close());
  }
  EXPECT_NE(run(dir, "qemu-io -r -c 'read 0 64k' child.vmdk"), 0);
  const auto refused = Container::open(dir / "child.vmdk");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("was changed after"), std::string::npos);
}

TEST(VmdkParent, ThatQemuChangedIsRefusedToo) {
  REQUIRE_QEMU();
  const TempDir dir;
  MUST_RUN(dir, "qemu-img create -q -f vmdk base.vmdk 1M");
  ASSERT_TRUE(create(dir / "child.vmdk", MiB, {}, dir / "base.vmdk"));
  ASSERT_TRUE(Container::open(dir / "child.vmdk"));
  MUST_RUN(dir, "qemu-io -c 'write 0 64k' base.vmdk");
  EXPECT_FALSE(Container::open(dir / "child.vmdk"));
}

TEST(VmdkMetadata, LeavesTheDiskAsItIsToQemu) {
  REQUIRE_QEMU();
  const TempDir dir;
  MUST_RUN(dir, "qemu-img create -q -f vmdk x.vmdk 1M && qemu-io -c 'write -P 5 0 64k' x.vmdk");
  const auto done = set_metadata({.path = dir / "x.vmdk",
                                  .values = {{"comment", "two\nlines \\ and more"},
                                             {"uuid", "random"},
                                             {"geometry-lchs", "7/255/63"}}});
  ASSERT_TRUE(done) << done.error().message();
  MUST_RUN(dir, "qemu-io -c 'read -P 5 0 64k' -c 'write -P 6 64k 64k' x.vmdk");
  const auto container = Container::open(dir / "x.vmdk");
  ASSERT_TRUE(container);
  EXPECT_EQ((*container)->info().comment, "two\nlines \\ and more");
  EXPECT_EQ((*container)->info().lchs->cylinders, 7u);
}

// libyal and 7-Zip, where they are installed and know the variant.
TEST(VmdkMadeByUs, IsKnownToOtherReaders) {
  REQUIRE_QEMU();
  const TempDir dir;
  for (const char* type : {"monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse",
                           "twoGbMaxExtentFlat", "vmfs"}) {
    ASSERT_TRUE(create(dir / fmt::format("{}.vmdk", type), 5 * MiB, {{"subformat", type}}));
    if (run(dir, "vmdkinfo -V") == 0) {
      MUST_RUN(dir, fmt::format("vmdkinfo {}.vmdk | grep -q '5.0 MiB (5242880 bytes)'", type));
    }
    if (run(dir, "7z i") == 0) {
      MUST_RUN(dir, fmt::format("7z l {}.vmdk | grep -q ' 5242880 '", type));
    }
  }
}

}  // namespace
}  // namespace platter::test
