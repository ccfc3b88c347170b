// Compressed qcow2 images that go between Platter and QEMU: each reads and writes what the other
// made, and qemu-img check finds nothing, not even a leak.
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/ops/check.h"
#include "lib/ops/convert.h"
#include "tests/support/qemu.h"

namespace platter::test {
namespace {

struct Variant {
  std::string name;
  Options options;
  Effort effort = Effort::usual;
};
void PrintTo(const Variant& v, std::ostream* out) { *out << v.name; }

class Qcow2Compressed : public testing::TestWithParam<Variant> {
 protected:
  void SetUp() override {
    REQUIRE_QEMU();
    disk_.assign(size_, '\0');
    for (uint64_t at = 0; at < size_; at += 32 * KiB) {
      const uint64_t end = std::min(size_, at + 32 * KiB), kind = random_() % 6;
      for (uint64_t i = at; i < end && kind != 0; ++i) {
        const bool noise = kind == 1 || (kind < 4 && i % 8 < kind) || i % 100 == 0;
        disk_[i] = static_cast<char>(noise ? random_() : 'a' + at / 32768 % 20);
      }
    }
    write_file(dir_ / "disk.raw", disk_);
  }
  void make_ours(const std::string& name, std::optional<ParentLink> parent = std::nullopt,
                 const std::string& below = "") {
    const auto source = Container::open(dir_ / "disk.raw", {.format = "raw"});
    ASSERT_TRUE(source);
    std::unique_ptr<Container> base;
    if (parent) {
      auto opened = Container::open(dir_ / below);
      ASSERT_TRUE(opened) << opened.error().message();
      base = *std::move(opened);
    }
    NoProgress progress;
    const auto done = convert({.sources = {(*source)->live()},
                               .target = {.path = dir_ / name,
                                          .format = *find_format("qcow2"),
                                          .size = size_,
                                          .options = GetParam().options,
                                          .parent = std::move(parent),
                                          .compress = GetParam().effort},
                               .parent = base ? base->live() : nullptr,
                               .threads = 3},
                              progress);
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_GT(done->encoded, 0U);
  }
  // Both find nothing wrong and read the disk.
  void expect_sound(const std::string& name) {
    write_file(dir_ / "disk.raw", disk_);
    MUST_RUN(dir_, fmt::format("qemu-img check {}", name));
    MUST_RUN(dir_, fmt::format("qemu-img compare -F qcow2 -f raw disk.raw {}", name));
    const auto container = Container::open(dir_ / name);
    ASSERT_TRUE(container) << container.error().message();
    std::string bytes(size_, '\1');
    ASSERT_TRUE((*container)->live()->read(0, std::as_writable_bytes(std::span(bytes))));
    EXPECT_TRUE(bytes == disk_);
  }

  // Some clusters of every size.
  const uint64_t size_ = (GetParam().name.starts_with("c2M") ? 24 : 8) * MiB + 1536;
  TempDir dir_;
  std::mt19937_64 random_{7};
  std::string disk_;
};

TEST_P(Qcow2Compressed, IsSoundForQemu) {
  make_ours("ours.qcow2");
  expect_sound("ours.qcow2");
}

TEST_P(Qcow2Compressed, OverAParentIsSoundForQemu) {
  MUST_RUN(dir_, "qemu-img convert -c -O qcow2 disk.raw base.qcow2");
  for (uint64_t i = 0; i < 40; ++i) {
    const uint64_t at = random_() % (size_ / 4096) * 4096;
    std::fill_n(disk_.begin() + static_cast<ptrdiff_t>(at), std::min<uint64_t>(90000, size_ - at),
                i % 3 == 0 ? '\0' : static_cast<char>(i));
  }
  write_file(dir_ / "disk.raw", disk_);
  make_ours("ours.qcow2", ParentLink{.reference = "base.qcow2", .format = "qcow2"}, "base.qcow2");
  expect_sound("ours.qcow2");
}

// QEMU overwrites, discards and compresses anew: every reference it drops must have been counted.
TEST_P(Qcow2Compressed, IsWrittenOnByQemuAndThenByUs) {
  make_ours("ours.qcow2");
  std::string commands;
  for (int i = 0; i < 60; ++i) {
    const uint64_t at = random_() % (size_ / 512) * 512;
    const uint64_t length = std::min<uint64_t>((1 + random_() % 300) * 512, size_ - at);
    const bool discard = i % 4 == 0;
    const uint64_t from = discard ? align_up(at, 2 * MiB) : at;
    const uint64_t size = discard ? 2 * MiB : length;
    if (from + size > size_) continue;
    std::fill_n(disk_.begin() + static_cast<ptrdiff_t>(from), size,
                discard ? '\0' : static_cast<char>(i + 1));
    commands += discard ? fmt::format("write -z -u {} {}\n", from, size)
                        : fmt::format("write -P {} {} {}\n", i + 1, from, size);
  }
  write_file(dir_ / "commands", commands);
  MUST_RUN(dir_, "qemu-io -f qcow2 ours.qcow2 < commands");
  expect_sound("ours.qcow2");

  auto container = Container::open(dir_ / "ours.qcow2", {.access = Access::write});
  ASSERT_TRUE(container) << container.error().message();
  Writer& writer = *(*container)->writer();
  for (int i = 0; i < 60; ++i) {
    const uint64_t at = random_() % (size_ - 200000);
    const std::string bytes(1 + random_() % 200000, static_cast<char>(i + 100));
    disk_.replace(at, bytes.size(), bytes);
    ASSERT_TRUE(writer.write(at, std::as_bytes(std::span(bytes))));
  }
  ASSERT_TRUE(writer.discard({2 * MiB, 4 * MiB}));
  std::fill_n(disk_.begin() + 2 * MiB, 4 * MiB, '\0');
  ASSERT_TRUE(writer.close());
  container->reset();
  expect_sound("ours.qcow2");
}

TEST_P(Qcow2Compressed, OfQemuIsReadAndMadeAnewAboutAsLarge) {
  std::string options = "cluster_size=64k";
  for (const auto& [key, value] : GetParam().options) {
    if (key != "window") options += "," + key + "=" + value;
  }
  MUST_RUN(dir_, fmt::format("qemu-img convert -c -O qcow2 -o {} disk.raw qemus.qcow2", options));
  const auto source = Container::open(dir_ / "qemus.qcow2");
  ASSERT_TRUE(source) << source.error().message();
  NoProgress progress;
  ASSERT_TRUE(convert({.sources = {(*source)->live()},
                       .target = {.path = dir_ / "anew.qcow2",
                                  .format = *find_format("qcow2"),
                                  .size = size_,
                                  .options = GetParam().options,
                                  .compress = GetParam().effort},
                       .threads = 2},
                      progress));
  expect_sound("anew.qcow2");
  if (GetParam().effort == Effort::fast) return;
  // A cluster for what QEMU, too, has at the end, which it does not fill up.
  const double cluster = GetParam().name == "c2M" ? 2.0 * MiB : 65536;
  const auto size = [&](const char* name) { return read_file(dir_ / name).size(); };
  EXPECT_LT(static_cast<double>(size("anew.qcow2")),
            static_cast<double>(size("qemus.qcow2")) * 1.05 + cluster);
}

std::vector<Variant> variants() {
  using O = Options;
  return {{"zlib", {}},
          {"zlib_fast", {}, Effort::fast},
          {"window", O{{"window", "4k"}}},
          {"window_fast", O{{"window", "4k"}}, Effort::fast},
          {"zstd", O{{"compression_type", "zstd"}}},
          {"zstd_fast", O{{"compression_type", "zstd"}}, Effort::fast},
          {"v2", O{{"compat", "0.10"}}},
          {"c512", O{{"cluster_size", "512"}}},
          {"c4k", O{{"cluster_size", "4k"}}},
          {"c2M", O{{"cluster_size", "2M"}}},
          {"c2M_zstd", O{{"cluster_size", "2M"}, {"compression_type", "zstd"}}},
          {"extended", O{{"extended_l2", "on"}}},
          {"r1", O{{"refcount_bits", "1"}}},
          {"r2", O{{"refcount_bits", "2"}}},
          {"r64", O{{"refcount_bits", "64"}}}};
}
INSTANTIATE_TEST_SUITE_P(Variants, Qcow2Compressed, testing::ValuesIn(variants()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter::test
