// Images that qemu-img and qemu-io made, compared with what qemu-img reads from them; and images
// of ours, checked by qemu-img.
#include <fstream>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lib/container/container.h"
#include "lib/container/extent_walk.h"
#include "lib/image/registry.h"
#include "lib/io/posix_file.h"
#include "tests/support/qemu.h"

namespace platter {
namespace {

using platter::test::run;
using platter::test::TempDir;

// Text that compresses, bytes that do not, and holes.
std::string sample(uint64_t size) {
  std::mt19937_64 random(7);
  std::string out;
  while (out.size() < size) {
    const size_t n = 1000 + random() % 90000;
    switch (random() % 4) {
      case 0: out.append(n, '\0'); break;
      case 1:
        for (size_t i = 0; i < n; ++i) out.push_back(static_cast<char>(random()));
        break;
      default:
        for (size_t i = 0; i < n / 8; ++i) out += fmt::format("{:07} ", random() % 5000 * i);
    }
  }
  out.resize(size);
  return out;
}

// At once, and in reads that begin and end anywhere.
void expect_same(const View& view, const std::string& raw) {
  ASSERT_EQ(view.size(), raw.size());
  std::string all(raw.size(), 'x');
  const auto whole = view.read(0, std::as_writable_bytes(std::span(all)));
  ASSERT_TRUE(whole) << whole.error().message();
  const auto differ = std::mismatch(all.begin(), all.end(), raw.begin());
  ASSERT_TRUE(all == raw) << "first difference at " << differ.first - all.begin();
  std::mt19937_64 random(11);
  for (int i = 0; i < 200 && !raw.empty(); ++i) {
    const uint64_t offset = random() % raw.size();
    const uint64_t length = std::min<uint64_t>(1 + random() % 20000, raw.size() - offset);
    std::string part(length, 'x');
    ASSERT_TRUE(view.read(offset, std::as_writable_bytes(std::span(part))));
    ASSERT_TRUE(part == raw.substr(offset, length)) << "at " << offset << ", " << length;
  }
}

void expect_reads_like_qemu(const TempDir& dir, const std::string& image) {
  MUST_RUN(dir, fmt::format("qemu-img convert -O raw {} expected.raw", image));
  auto container = Container::open(dir / image);
  ASSERT_TRUE(container) << container.error().message();
  expect_same(*(*container)->live(), test::read_file(dir / "expected.raw"));
}

// One "start length kind depth host" a line; compressed clusters that follow one another are one.
std::string qemu_map(const std::string& json) {
  std::string lines;
  uint64_t start = 0, end = 0;
  std::string kind, last;
  int64_t shift = 0, last_shift = 0;
  for (const auto& e : nlohmann::json::parse(json)) {
    const uint64_t at = e["start"];
    kind = "absent";
    shift = 0;
    if (e["data"] && e.contains("offset")) {
      kind = fmt::format("data {}", e["depth"].get<int>());
      shift = e["offset"].get<int64_t>() - static_cast<int64_t>(at);
    } else if (e["data"] || e["present"]) {
      kind = fmt::format("{} {}", e["data"] ? "encoded" : "zero", e["depth"].get<int>());
    }
    if (at != 0 && (kind != last || shift != last_shift)) {
      lines += fmt::format("{} {} {} {}\n", start, end - start, last, last_shift);
      start = at;
    }
    last = kind;
    last_shift = shift;
    end = at + e["length"].get<uint64_t>();
  }
  return lines + fmt::format("{} {} {} {}\n", start, end - start, last, last_shift);
}

std::string our_map(const View& view) {
  auto json = nlohmann::json::array();
  const auto done = walk(view, {0, view.size()}, [&](const View::Mapped& m) -> Result<bool> {
    const Extent::Kind kind = m.extent.kind;
    const bool data = kind == Extent::Kind::data || kind == Extent::Kind::encoded;
    json.push_back({{"start", m.extent.guest.offset},
                    {"length", m.extent.guest.length},
                    {"depth", m.depth},
                    {"data", data},
                    {"present", data || kind == Extent::Kind::zero}});
    if (kind == Extent::Kind::data) json.back()["offset"] = m.extent.host;
    return true;
  });
  EXPECT_TRUE(done) << done.error().message();
  return qemu_map(json.dump());
}

void expect_maps_like_qemu(const TempDir& dir, const std::string& image) {
  MUST_RUN(dir, "qemu-img map --output=json " + image);
  auto container = Container::open(dir / image);
  ASSERT_TRUE(container) << container.error().message();
  EXPECT_EQ(our_map(*(*container)->live()), qemu_map(test::read_file(dir / "out.txt")));
}

struct MadeByQemu {
  std::string name;
  std::string options;  // of qemu-img create
  std::string size = "6M";
  std::string extra;  // more qemu-io commands
  bool compress = true;
};

void PrintTo(const MadeByQemu& variant, std::ostream* out) { *out << variant.name; }

std::vector<MadeByQemu> made_by_qemu() {
  std::vector<MadeByQemu> list;
  for (const char* compat : {"0.10", "1.1"}) {
    for (const char* cluster : {"512", "4k", "64k", "2M"}) {
      list.push_back({fmt::format("v{}_{}", compat[0] == '0' ? 2 : 3, cluster),
                      fmt::format("compat={},cluster_size={}", compat, cluster)});
    }
  }
  for (const int bits : {1, 2, 4, 8, 32, 64}) {
    list.push_back({fmt::format("refcount_{}", bits), fmt::format("refcount_bits={}", bits)});
  }
  for (const char* cluster : {"512", "4k", "64k", "2M"}) {
    list.push_back({fmt::format("zstd_{}", cluster),
                    fmt::format("compression_type=zstd,cluster_size={}", cluster)});
  }
  for (const char* cluster : {"16k", "64k", "2M"}) {
    list.push_back({fmt::format("extended_{}", cluster),
                    fmt::format("extended_l2=on,cluster_size={}", cluster)});
  }
  list.push_back({"extended_zstd", "extended_l2=on,compression_type=zstd"});
  list.push_back({"lazy_refcounts", "lazy_refcounts=on"});
  for (const char* mode : {"metadata", "falloc", "full"}) {
    list.push_back({fmt::format("preallocated_{}", mode), fmt::format("preallocation={}", mode),
                    "6M", "", false});
  }
  list.push_back(
      {"extended_preallocated", "extended_l2=on,preallocation=metadata", "6M", "", false});
  list.push_back({"odd_size", "cluster_size=4k", "6291968"});
  list.push_back({"data_file", "data_file=d.raw", "6M", "", false});
  list.push_back({"data_file_raw", "data_file=d.raw,data_file_raw=on", "6M", "", false});
  list.push_back({"data_file_extended", "data_file=d.raw,extended_l2=on", "6M", "", false});
  list.push_back({"left_dirty", "lazy_refcounts=on", "6M", "-c flush -c 'sigraise 9'"});
  return list;
}

class QemuVariant : public testing::TestWithParam<MadeByQemu> {};

TEST_P(QemuVariant, ReadsTheSame) {
  REQUIRE_QEMU();
  const MadeByQemu& variant = GetParam();
  const TempDir dir;
  MUST_RUN(dir,
           fmt::format("qemu-img create -f qcow2 -o {} a.qcow2 {}", variant.options, variant.size));
  std::string commands =
      "-c 'write -P 1 0 70k' -c 'write -P 2 100k 10k' -c 'write -P 3 1M 300k' "
      "-c 'write -P 4 2098688 512' -c 'write -z 3M 130k' -c 'write -z -u 1100k 40k' "
      "-c 'discard 1M 16k' -c 'write -P 5 5M 600k' -c 'write -z 5200k 1k' "
      "-c 'write -P 6 6290432 1024' ";
  if (variant.compress) commands += "-c 'write -c -P 7 4M 64k' ";
  // A killed qemu-io says so: its status is not looked at.
  (void)run(dir, fmt::format("qemu-io {} {} a.qcow2", commands, variant.extra));
  expect_reads_like_qemu(dir, "a.qcow2");
  expect_maps_like_qemu(dir, "a.qcow2");
}

TEST_P(QemuVariant, ReadsWhatQemuImgCompressed) {
  REQUIRE_QEMU();
  const MadeByQemu& variant = GetParam();
  if (!variant.compress) return;
  const TempDir dir;
  test::write_file(dir / "in.raw", sample(2 * MiB + 512));
  MUST_RUN(dir, fmt::format("qemu-img convert -c -f raw -O qcow2 -o {} in.raw a.qcow2",
                            variant.options));
  auto container = Container::open(dir / "a.qcow2");
  ASSERT_TRUE(container) << container.error().message();
  expect_same(*(*container)->live(), test::read_file(dir / "in.raw"));
}

INSTANTIATE_TEST_SUITE_P(Variants, QemuVariant, testing::ValuesIn(made_by_qemu()),
                         [](const auto& instance) {
                           std::string name = instance.param.name;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

class QemuChain : public testing::TestWithParam<MadeByQemu> {};

TEST_P(QemuChain, ReadsTheSame) {
  REQUIRE_QEMU();
  const MadeByQemu& variant = GetParam();
  const TempDir dir;
  test::write_file(dir / "base.raw", sample(3 * MiB));
  MUST_RUN(dir, "qemu-img convert -f raw -O qcow2 -c base.raw base.qcow2");
  MUST_RUN(dir, fmt::format("qemu-img create -f qcow2 -o {} {} a.qcow2 {}", variant.options,
                            variant.extra, variant.size));
  MUST_RUN(dir,
           "qemu-io -c 'write -P 1 10k 70k' -c 'write -z 300k 100k' -c 'write -P 2 1M 1k' "
           "-c 'discard 2M 200k' -c 'write -P 3 3000k 8k' a.qcow2");
  expect_reads_like_qemu(dir, "a.qcow2");
  expect_maps_like_qemu(dir, "a.qcow2");
}

INSTANTIATE_TEST_SUITE_P(
    Chains, QemuChain,
    testing::Values(
        MadeByQemu{"over_qcow2", "compat=1.1", "4M", "-b base.qcow2 -F qcow2"},
        MadeByQemu{"over_raw", "compat=1.1", "4M", "-b base.raw -F raw"},
        MadeByQemu{"version_2", "compat=0.10", "4M", "-b base.qcow2 -F qcow2"},
        MadeByQemu{"smaller_than_its_parent", "compat=1.1", "3074k", "-b base.raw -F raw"},
        MadeByQemu{"extended", "extended_l2=on", "4M", "-b base.qcow2 -F qcow2"},
        MadeByQemu{"small_clusters", "cluster_size=512", "4M", "-b base.qcow2 -F qcow2"}),
    [](const auto& instance) { return instance.param.name; });

TEST(QemuSnapshots, EachReadsAsItWas) {
  REQUIRE_QEMU();
  for (const char* options : {"compat=0.10", "compat=1.1,cluster_size=4k", "extended_l2=on"}) {
    const TempDir dir;
    MUST_RUN(dir, fmt::format("qemu-img create -f qcow2 -o {} a.qcow2 2M", options));
    MUST_RUN(dir, "qemu-io -c 'write -P 1 0 300k' -c 'write -c -P 2 512k 64k' a.qcow2");
    MUST_RUN(dir, "qemu-img convert -O raw a.qcow2 one.raw && qemu-img snapshot -c one a.qcow2");
    MUST_RUN(dir, "qemu-io -c 'write -P 3 64k 2k' -c 'write -z 512k 64k' a.qcow2");
    MUST_RUN(dir, "qemu-img convert -O raw a.qcow2 two.raw && qemu-img snapshot -c two a.qcow2");
    MUST_RUN(dir, "qemu-io -c 'write -P 4 1M 1M' a.qcow2");
    expect_reads_like_qemu(dir, "a.qcow2");
    auto container = Container::open(dir / "a.qcow2");
    ASSERT_TRUE(container) << container.error().message();
    ASSERT_EQ((*container)->states().size(), 2U);
    for (const State& state : (*container)->states()) {
      EXPECT_GT(state.snapshot.created_ns, 1600000000LL * 1000000000LL);
      expect_same(*state.view, test::read_file(dir / (state.name + ".raw")));
    }
  }
}

TEST(QemuSnapshots, KeepTheirSizeWhenTheDiskGrows) {
  REQUIRE_QEMU();
  const TempDir dir;
  MUST_RUN(dir, "qemu-img create -f qcow2 a.qcow2 2M && qemu-io -c 'write -P 1 1M 1M' a.qcow2");
  MUST_RUN(dir, "qemu-img convert -O raw a.qcow2 one.raw && qemu-img snapshot -c one a.qcow2");
  MUST_RUN(dir, "qemu-img resize a.qcow2 700M");
  auto container = Container::open(dir / "a.qcow2");
  ASSERT_TRUE(container) << container.error().message();
  EXPECT_EQ((*container)->live()->size(), 700 * MiB);
  expect_same(*(*container)->states().front().view, test::read_file(dir / "one.raw"));
}

TEST(QemuInfo, ShowsThatAnImageWasNotClosed) {
  REQUIRE_QEMU();
  const TempDir dir;
  MUST_RUN(dir, "qemu-img create -f qcow2 -o lazy_refcounts=on a.qcow2 2M");
  (void)run(dir, "qemu-io -c 'write -P 1 0 1M' -c flush -c 'sigraise 9' a.qcow2");
  auto container = Container::open(dir / "a.qcow2");
  ASSERT_TRUE(container) << container.error().message();
  EXPECT_TRUE((*container)->info().dirty);
}

TEST(QemuInfo, KnowsEncryption) {
  REQUIRE_QEMU();
  for (const auto& [method, quickly] : {std::pair("aes", ""), {"luks", ",encrypt.iter-time=10"}}) {
    const TempDir dir;
    MUST_RUN(dir, fmt::format("qemu-img create --object secret,id=s,data=pw -f qcow2 -o "
                              "encrypt.format={},encrypt.key-secret=s{} a.qcow2 2M",
                              method, quickly));
    auto container = Container::open(dir / "a.qcow2");
    ASSERT_TRUE(container) << container.error().message();
    const ImageInfo& info = (*container)->info();
    EXPECT_TRUE(info.encrypted);
    const Detail said{"encryption", std::string(method)};
    EXPECT_NE(std::find(info.details.begin(), info.details.end(), said), info.details.end());
  }
}

TEST(QemuInfo, ListsBitmapsAndFeatures) {
  REQUIRE_QEMU();
  const TempDir dir;
  MUST_RUN(
      dir,
      "qemu-img create -f qcow2 -o lazy_refcounts=on,extended_l2=on a.qcow2 2M && "
      "qemu-img bitmap --add a.qcow2 b0 && qemu-img bitmap --add -g 4096 --disable a.qcow2 b1");
  auto container = Container::open(dir / "a.qcow2");
  ASSERT_TRUE(container) << container.error().message();
  const ImageInfo& info = (*container)->info();
  ASSERT_EQ(info.bitmaps.size(), 2u);
  EXPECT_EQ(info.bitmaps[0].name, "b0");
  EXPECT_EQ(info.bitmaps[0].granularity, 64 * KiB);
  EXPECT_EQ(info.bitmaps[0].flags, std::vector<std::string>{"auto"});
  EXPECT_EQ(info.bitmaps[1].name, "b1");
  EXPECT_EQ(info.bitmaps[1].granularity, 4 * KiB);
  EXPECT_TRUE(info.bitmaps[1].flags.empty());
  EXPECT_EQ(info.features.incompatible, std::vector<std::string>{"extended L2 entries"});
  EXPECT_EQ(info.features.compatible, std::vector<std::string>{"lazy refcounts"});
  EXPECT_EQ(info.features.autoclear, std::vector<std::string>{"bitmaps"});
}

struct Made {
  std::string name;
  Options options;
  uint64_t size = 0;
};

void PrintTo(const Made& made, std::ostream* out) { *out << made.name; }

std::vector<Made> made_images() {
  std::vector<Made> list;
  for (const char* cluster : {"512", "4k", "8k", "64k", "2M"}) {
    list.push_back({fmt::format("v3_{}", cluster), {{"cluster_size", cluster}}, 5 * MiB + 512});
    list.push_back(
        {fmt::format("v2_{}", cluster), {{"cluster_size", cluster}, {"compat", "0.10"}}, 5 * MiB});
  }
  for (const char* bits : {"1", "2", "4", "8", "32", "64"}) {
    list.push_back({fmt::format("refcount_{}", bits),
                    {{"refcount_bits", bits}, {"cluster_size", "512"}},
                    3 * MiB + 1024});
  }
  list.push_back({"no_size", {}, 0});
  list.push_back({"a_sector", {}, 1});
  return list;
}

class QemuChecks : public testing::TestWithParam<Made> {};

// A cluster in three is left out; the qemu-img check that follows wants no leak and no error.
TEST_P(QemuChecks, WhatWeCreate) {
  REQUIRE_QEMU();
  const TempDir dir;
  std::string disk = sample(GetParam().size);
  {
    auto file = PosixFile::create(dir / "a.qcow2");
    ASSERT_TRUE(file);
    auto writer =
        find_format("qcow2")->create(CreateRequest{*file, disk.size(), GetParam().options});
    ASSERT_TRUE(writer) << writer.error().message();
    const uint64_t block = (*writer)->block_size();
    for (uint64_t at = 0; at < disk.size(); at += block) {
      const uint64_t n = std::min<uint64_t>(block, disk.size() - at);
      if (at / block % 3 == 1) {
        std::fill_n(disk.begin() + static_cast<ptrdiff_t>(at), n, '\0');
      } else {
        ASSERT_TRUE((*writer)->write(at, std::as_bytes(std::span(disk)).subspan(at, n)));
      }
    }
    ASSERT_TRUE((*writer)->finish());
  }
  disk.resize(align_up(disk.size(), 512));
  test::write_file(dir / "expected.raw", disk);
  MUST_RUN(dir, "qemu-img check a.qcow2");
  MUST_RUN(dir, "qemu-img compare -f qcow2 -F raw a.qcow2 expected.raw");
  expect_reads_like_qemu(dir, "a.qcow2");
}

INSTANTIATE_TEST_SUITE_P(Made, QemuChecks, testing::ValuesIn(made_images()),
                         [](const auto& instance) { return instance.param.name; });

TEST(QemuChecksLarge, ASparseDiskOf64TiB) {
  REQUIRE_QEMU();
  const TempDir dir;
  {
    auto file = PosixFile::create(dir / "a.qcow2");
    ASSERT_TRUE(file);
    const Options options;
    auto writer = find_format("qcow2")->create(CreateRequest{*file, 64 * 1024 * GiB, options});
    ASSERT_TRUE(writer) << writer.error().message();
    const std::string block(64 * KiB, 'x');
    ASSERT_TRUE((*writer)->write(40 * 1024 * GiB, std::as_bytes(std::span(block))));
    ASSERT_TRUE((*writer)->finish());
    EXPECT_LT((*file)->stat()->allocated, 1 * MiB);
  }
  MUST_RUN(dir, "qemu-img check a.qcow2");
  MUST_RUN(dir, "qemu-io -r -c 'read -P 0x78 43980465111040 64k' a.qcow2");
}

}  // namespace
}  // namespace platter
