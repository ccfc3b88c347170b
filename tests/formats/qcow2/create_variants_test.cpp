// Every option of a new image: what the header says, that it reads and writes, and that qemu-img
// finds nothing wrong with it.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/io/posix_file.h"
#include "lib/ops/create.h"
#include "tests/support/qemu.h"

namespace platter {
namespace {

using platter::test::run;
using platter::test::TempDir;
using testing::HasSubstr;

struct Variant {
  std::string name;
  Options options;
  // What qemu-img info says of it.
  nlohmann::json told;
  bool parent = false;
};

std::ostream& operator<<(std::ostream& out, const Variant& v) { return out << v.name; }

std::vector<Variant> variants() {
  using O = Options;
  std::vector<Variant> list = {
      {"plain", {}, {{"compat", "1.1"}, {"refcount-bits", 16}, {"compression-type", "zlib"}}},
      {"v2", O{{"compat", "0.10"}}, {{"compat", "0.10"}}},
      {"lazy", O{{"lazy_refcounts", "on"}}, {{"lazy-refcounts", true}}},
      {"zstd", O{{"compression_type", "zstd"}}, {{"compression-type", "zstd"}}},
      {"extended", O{{"extended_l2", "on"}}, {{"extended-l2", true}}},
      {"extended16k", O{{"extended_l2", "on"}, {"cluster_size", "16k"}}, {{"extended-l2", true}}},
      {"data", O{{"data_file", "d.bin"}}, {{"data-file", "d.bin"}, {"data-file-raw", false}}},
      {"rawdata",
       O{{"data_file", "d.bin"}, {"data_file_raw", "on"}},
       {{"data-file", "d.bin"}, {"data-file-raw", true}}},
      {"rawextended",
       O{{"data_file", "d.bin"}, {"data_file_raw", "on"}, {"extended_l2", "on"}},
       {{"data-file-raw", true}, {"extended-l2", true}}},
  };
  for (const char* mode : {"metadata", "falloc", "full"}) {
    list.push_back({std::string("pre") + mode, O{{"preallocation", mode}}, {}});
    list.push_back({std::string("preextended") + mode,
                    O{{"preallocation", mode}, {"extended_l2", "on"}},
                    {{"extended-l2", true}}});
    list.push_back(
        {std::string("predata") + mode, O{{"preallocation", mode}, {"data_file", "d.bin"}}, {}});
    list.push_back({std::string("presmall") + mode,
                    O{{"preallocation", mode}, {"cluster_size", "1k"}, {"refcount_bits", "64"}},
                    {{"refcount-bits", 64}}});
  }
  for (const char* size : {"512", "1k", "2k", "4k", "8k", "32k", "128k", "512k", "2M"}) {
    list.push_back({std::string("c") + size, O{{"cluster_size", size}}, {}});
    list.push_back(
        {std::string("v2c") + size, O{{"cluster_size", size}, {"compat", "0.10"}}, {}, true});
    list.push_back({std::string("overlay") + size, O{{"cluster_size", size}}, {}, true});
  }
  for (const char* bits : {"1", "2", "4", "8", "32"}) {
    list.push_back({std::string("r") + bits,
                    O{{"refcount_bits", bits}},
                    {{"refcount-bits", std::atoi(bits)}}});
  }
  list.push_back({"preoverlay", O{{"extended_l2", "on"}, {"preallocation", "metadata"}}, {}, true});
  return list;
}

class Qcow2Variant : public testing::TestWithParam<Variant> {
 protected:
  static constexpr uint64_t kSize = 5 * MiB + 512;

  void SetUp() override {
    base_.resize(kSize);
    for (size_t i = 0; i < base_.size(); ++i) base_[i] = static_cast<char>(i >> 12 | 1);
    if (GetParam().parent) test::write_file(dir_ / "base.img", base_);
    if (!GetParam().parent) base_.assign(kSize, '\0');
  }

  CreateArgs args() const {
    CreateArgs args{.path = dir_ / "new.qcow2",
                    .format = *find_format("qcow2"),
                    .size = kSize,
                    .options = GetParam().options};
    if (args.options.contains("data_file")) args.options["data_file"] = dir_ / "d.bin";
    if (GetParam().parent) args.parent = ParentLink{.reference = "base.img", .format = "raw"};
    return args;
  }

  void expect_sound() {
    if (!test::have_qemu()) return;
    MUST_RUN(dir_, "qemu-img check new.qcow2");
    MUST_RUN(dir_, "qemu-img info --output=json new.qcow2");
    const auto info = nlohmann::json::parse(test::read_file(dir_ / "out.txt"));
    const auto& told = info.at("format-specific").at("data");
    for (const auto& [key, value] : GetParam().told.items()) EXPECT_EQ(told.at(key), value) << key;
    EXPECT_EQ(info.at("virtual-size"), kSize);
    if (GetParam().parent) {
      EXPECT_EQ(info.at("backing-filename"), "base.img");
      EXPECT_EQ(info.at("backing-filename-format"), "raw");
    }
  }

  std::string contents() {
    const auto container = Container::open(dir_ / "new.qcow2");
    EXPECT_TRUE(container) << container.error().message();
    std::string bytes(kSize, 'x');
    EXPECT_TRUE((*container)->live()->read(0, std::as_writable_bytes(std::span(bytes))));
    return bytes;
  }

  void expect_contents(const std::string& wanted) {
    EXPECT_TRUE(contents() == wanted);
    if (!test::have_qemu()) return;
    MUST_RUN(dir_, "qemu-img convert -O raw new.qcow2 read.raw");
    EXPECT_TRUE(test::read_file(dir_ / "read.raw") == wanted);
    if (GetParam().options.contains("data_file_raw")) {
      EXPECT_TRUE(test::read_file(dir_ / "d.bin") == wanted);
    }
  }

  const TempDir dir_;
  std::string base_;
};

TEST_P(Qcow2Variant, IsWhatWasAskedForAndSound) {
  const auto made = create_image(args());
  ASSERT_TRUE(made) << made.error().message();
  expect_sound();
  expect_contents(base_);
}

TEST_P(Qcow2Variant, IsSoundWithDataWrittenWhileItIsMade) {
  auto made = NewImage::begin(args());
  ASSERT_TRUE(made) << made.error().message();
  const uint64_t block = made->writer().block_size();
  std::string wanted = base_;
  for (const uint64_t from :
       {uint64_t{0}, align_up(MiB + 1, block), align_down(kSize - 1, block)}) {
    const uint64_t end = std::min(from + 3 * block, kSize);
    const std::string data(end - from, static_cast<char>(from / 512 + 7));
    ASSERT_TRUE(made->writer().write(from, std::as_bytes(std::span(data))));
    wanted.replace(from, data.size(), data);
    if (end == kSize) break;
  }
  const auto done = made->commit();
  ASSERT_TRUE(done) << done.error().message();
  expect_sound();
  expect_contents(wanted);
}

TEST_P(Qcow2Variant, TakesWritesAndStaysSound) {
  const auto made = create_image(args());
  ASSERT_TRUE(made) << made.error().message();
  {
    const auto container = Container::open(dir_ / "new.qcow2", {.access = Access::write});
    ASSERT_TRUE(container) << container.error().message();
    const std::string data(70000, '!');
    ASSERT_TRUE((*container)->writer()->write(12345, std::as_bytes(std::span(data))));
    ASSERT_TRUE((*container)->writer()->zero({3 * MiB + 1, 100000}, File::Zero::free_space));
    ASSERT_TRUE((*container)->writer()->close());
    base_.replace(12345, data.size(), data);
    base_.replace(3 * MiB + 1, 100000, 100000, '\0');
  }
  expect_sound();
  expect_contents(base_);
}

INSTANTIATE_TEST_SUITE_P(Options, Qcow2Variant, testing::ValuesIn(variants()),
                         [](const auto& test) { return test.param.name; });

class Qcow2Preallocated : public testing::Test {
 protected:
  uint64_t allocated(const char* mode) {
    const std::string path = dir_ / mode;
    EXPECT_TRUE(create_image({.path = path,
                              .format = *find_format("qcow2"),
                              .size = 8 * MiB,
                              .options = {{"preallocation", mode}}}));
    const auto file = PosixFile::open(path);
    return (*file)->stat()->allocated;
  }
  const TempDir dir_;
};

TEST_F(Qcow2Preallocated, KeepsTheSpaceItWasAskedToKeep) {
  EXPECT_LT(allocated("off"), MiB);
  EXPECT_LT(allocated("metadata"), MiB);
  EXPECT_GE(allocated("falloc"), 8 * MiB);
  EXPECT_GE(allocated("full"), 8 * MiB);
}

void expect_refused(const Options& options, std::string_view part, bool parent = false) {
  const TempDir dir;
  CreateArgs args{
      .path = dir / "new.qcow2", .format = *find_format("qcow2"), .size = MiB, .options = options};
  if (options.contains("data_file")) args.options["data_file"] = dir / options.at("data_file");
  if (parent) args.parent = ParentLink{.reference = "base.img", .format = "raw"};
  const auto made = create_image(args);
  ASSERT_FALSE(made) << part;
  EXPECT_THAT(made.error().message(), HasSubstr(part));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(Qcow2VariantOptions, RefuseWhatDoesNotGoTogether) {
  const std::pair<std::string, std::string> v2{"compat", "0.10"};
  expect_refused({v2, {"lazy_refcounts", "on"}}, "lazy_refcounts=on: needs compat=1.1");
  expect_refused({v2, {"extended_l2", "on"}}, "extended_l2=on: needs compat=1.1");
  expect_refused({v2, {"compression_type", "zstd"}}, "compression_type=zstd: needs compat=1.1");
  expect_refused({v2, {"data_file", "d"}}, "data_file: needs compat=1.1");
  expect_refused({{"extended_l2", "on"}, {"cluster_size", "8k"}}, "needs clusters of 16k");
  expect_refused({{"data_file_raw", "on"}}, "needs a data_file");
  expect_refused({{"data_file_raw", "on"}, {"data_file", "d"}}, "has no parent", true);
  expect_refused({{"preallocation", "metadata"}}, "needs extended_l2=on", true);
  expect_refused({{"backing_fmt", "raw"}}, "there is no parent");
  expect_refused({{"backing_fmt", "vdi"}}, "the parent was opened as raw", true);
  for (const char* key : {"lazy_refcounts", "extended_l2", "data_file_raw"}) {
    expect_refused({{key, "yes"}}, "must be on or off");
  }
  expect_refused({{"preallocation", "all"}}, "preallocation=all: must be");
  expect_refused({{"compression_type", "lzma"}}, "compression_type=lzma: must be");
}

TEST(Qcow2VariantOptions, RefuseNamesThatDoNotFitIntoTheFirstCluster) {
  const TempDir dir;
  CreateArgs args{.path = dir / "new.qcow2",
                  .format = *find_format("qcow2"),
                  .size = MiB,
                  .options = {{"cluster_size", "512"}},
                  .parent = ParentLink{.reference = std::string(376, 'x'), .format = "raw"}};
  const auto made = create_image(args);
  ASSERT_TRUE(made) << made.error().message();
  args.path = dir / "second.qcow2";
  args.parent->reference += 'x';
  const auto refused = create_image(args);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("a larger cluster_size or shorter names"));
  args.options = {};
  args.parent->reference.assign(1024, 'x');
  EXPECT_THAT(create_image(args).error().message(), HasSubstr("at most 1023"));
  EXPECT_FALSE(std::filesystem::exists(args.path));
}

TEST(Qcow2VariantOptions, NeverOverwriteAFileForTheData) {
  const TempDir dir;
  test::write_file(dir / "d", "precious");
  const auto made = create_image({.path = dir / "new.qcow2",
                                  .format = *find_format("qcow2"),
                                  .size = MiB,
                                  .options = {{"data_file", dir / "d"}}});
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message(), HasSubstr("exists already"));
  EXPECT_EQ(test::read_file(dir / "d"), "precious");
  EXPECT_FALSE(std::filesystem::exists(dir / "new.qcow2"));
}

TEST(Qcow2VariantOptions, KeepTheDataFileWhereTheImageMayNameIt) {
  const TempDir dir;
  std::filesystem::create_directory(dir / "sub");
  CreateArgs args{.path = dir / "sub/new.qcow2",
                  .format = *find_format("qcow2"),
                  .size = MiB,
                  .options = {{"data_file", dir / "d:1"}}};
  const auto refused = create_image(args);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("references=any"));
  args.references = References::any;
  ASSERT_TRUE(create_image(args));
  EXPECT_TRUE(Container::open(args.path, {.references = References::any}));
  args.path = dir / "new.qcow2";
  args.options["data_file"] = dir / "d:2";
  ASSERT_TRUE(create_image(args));
  const auto container = Container::open(args.path);
  EXPECT_TRUE(container) << container.error().message();
}

}  // namespace
}  // namespace platter
