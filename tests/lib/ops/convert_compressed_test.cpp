// convert -c: every format that can have compressed blocks, and what becomes of a copy when
// compressing or writing fails.
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <regex>

#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/ops/child.h"
#include "lib/ops/convert.h"
#include "tests/lib/ops/each_format.h"
#include "tests/support/bytes.h"
#include "tests/support/memory_container.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::contents;
using test::Creatable;
using test::MemoryDisk;
using test::noise;
using test::TempDir;

// Text, noise, holes, zeroes that are stored, and an end inside a sector.
std::shared_ptr<MemoryFile> mixed_disk(uint64_t size) {
  auto file = std::make_shared<MemoryFile>("source");
  EXPECT_TRUE(file->resize(size));
  for (uint64_t at = 0; at < size; at += MiB / 2) {
    const size_t length = std::min<uint64_t>(MiB / 2, size - at);
    const uint64_t kind = at / (MiB / 2) % 5;
    if (kind == 0) continue;
    std::vector<std::byte> bytes = noise(length, at);
    if (kind == 1) std::ranges::fill(bytes, std::byte{0});
    if (kind > 2) {
      for (size_t i = 0; i < length; ++i) {
        if (i % kind != 0) bytes[i] = static_cast<std::byte>('a' + i / 700 % 20);
      }
    }
    EXPECT_TRUE(file->write(at, bytes));
  }
  const std::byte last{1};
  EXPECT_TRUE(file->write(size - 1, Bytes(&last, 1)));
  return file;
}

// Not each variant of a format can be.
bool compresses(const Creatable& creatable) {
  const auto options = create_options(*creatable.format, creatable.options());
  return options && creatable.format->create({.file = std::make_shared<MemoryFile>("new"),
                                              .size = MiB,
                                              .options = *options,
                                              .compress = Effort::usual});
}

// But for the ids, which no two images share.
std::string without_ids(const std::string& image) {
  static const std::regex ids(R"re((\nCID|ddb\.uuid[.a-z]*) *= *"?[-0-9a-f]*)re");
  const size_t head = std::min<size_t>(image.size(), 64 * KiB);
  return std::regex_replace(image.substr(0, head), ids, "") + image.substr(head);
}

std::vector<Creatable> compressible() {
  std::vector<Creatable> list;
  for (const Creatable& creatable : test::everything_creatable()) {
    if (creatable.format->can_compress() && compresses(creatable)) list.push_back(creatable);
  }
  return list;
}

class ConvertCompressed : public testing::TestWithParam<Creatable> {
 protected:
  static constexpr uint64_t kSize = 21 * MiB + 513;

  CreateArgs target(Effort effort = Effort::usual) const {
    return {.path = path_,
            .format = *GetParam().format,
            .size = kSize,
            .options = GetParam().options(),
            .compress = effort};
  }
  // The same disk but for five MiB.
  MemoryDisk parent_disk() const {
    auto file = mixed_disk(kSize);
    EXPECT_TRUE(file->write(4 * MiB, std::vector<std::byte>(5 * MiB, std::byte{7})));
    return test::memory_disk(std::move(file));
  }

  const TempDir dir_;
  const std::string path_ = dir_ / "new";
  const MemoryDisk disk_ = test::memory_disk(mixed_disk(kSize));
  NoProgress progress_;
};

TEST_P(ConvertCompressed, MakesASmallerCopyOfTheDisk) {
  auto wanted = contents(*disk_.view);
  for (const Effort effort : {Effort::usual, Effort::fast}) {
    for (const unsigned threads : {1U, 4U}) {
      const auto report = convert(
          {.sources = {disk_.view}, .target = target(effort), .threads = threads}, progress_);
      ASSERT_TRUE(report) << report.error().message();
      EXPECT_EQ(report->copied + report->zeroes + report->holes, kSize);
      EXPECT_GT(report->encoded, 6 * MiB);
      // A stream has nothing but compressed blocks.
      if (GetParam().variant != "streamOptimized") {
        EXPECT_LT(report->encoded, report->copied) << "noise cannot be compressed";
      }
      EXPECT_LT(std::filesystem::file_size(path_), report->copied * 7 / 8);
      const auto container = Container::open(path_);
      ASSERT_TRUE(container) << container.error().message();
      wanted.resize((*container)->live()->size());
      EXPECT_TRUE(contents(*(*container)->live()) == wanted);
      std::filesystem::remove(path_);
    }
  }
}

TEST_P(ConvertCompressed, MakesTheSameFileWithAnyNumberOfThreads) {
  std::string first;
  for (const unsigned threads : {1U, 2U, 7U}) {
    ASSERT_TRUE(
        convert({.sources = {disk_.view}, .target = target(), .threads = threads}, progress_));
    const std::string made = without_ids(test::read_file(path_));
    if (first.empty()) first = made;
    EXPECT_TRUE(made == first) << threads;
    std::filesystem::remove(path_);
  }
}

TEST_P(ConvertCompressed, OverAParentStoresWhatDiffers) {
  if (!GetParam().format->can_create_child()) GTEST_SKIP();
  CreateArgs base = target();
  base.path = dir_ / "base";
  ASSERT_TRUE(convert({.sources = {parent_disk().view}, .target = base, .threads = 2}, progress_));
  const auto parent = Container::open(base.path);
  ASSERT_TRUE(parent);
  const auto described =
      describe_parent({.path = base.path, .child = path_, .child_format = GetParam().format});
  ASSERT_TRUE(described) << described.error().message();
  ConvertArgs args{
      .sources = {disk_.view}, .target = target(), .parent = (*parent)->live(), .threads = 3};
  args.target.parent = described->link;
  const auto report = convert(args, progress_);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_GT(report->encoded, 0U);
  EXPECT_GE(report->same, 13 * MiB);
  const auto container = Container::open(path_);
  ASSERT_TRUE(container) << container.error().message();
  auto wanted = contents(*disk_.view);
  wanted.resize((*container)->live()->size());
  EXPECT_TRUE(contents(*(*container)->live()) == wanted);
}

TEST_P(ConvertCompressed, ReadsWhatIsCompressedItself) {
  ASSERT_TRUE(convert({.sources = {disk_.view}, .target = target(), .threads = 2}, progress_));
  const auto source = Container::open(path_);
  ASSERT_TRUE(source);
  CreateArgs again = target(Effort::fast);
  again.path = dir_ / "again";
  again.size = (*source)->live()->size();
  ASSERT_TRUE(convert({.sources = {(*source)->live()}, .target = again, .threads = 2}, progress_));
  const auto copy = Container::open(again.path);
  ASSERT_TRUE(copy);
  EXPECT_TRUE(contents(*(*copy)->live()) == contents(*(*source)->live()));
}

INSTANTIATE_TEST_SUITE_P(EachVariant, ConvertCompressed, testing::ValuesIn(compressible()),
                         test::name_of);

TEST(ConvertCompressedRefused, ByAFormatThatHasNone) {
  const TempDir dir;
  const MemoryDisk disk = test::memory_disk(mixed_disk(MiB));
  NoProgress progress;
  const auto report = convert({.sources = {disk.view},
                               .target = {.path = dir / "new",
                                          .format = *find_format("raw"),
                                          .size = MiB,
                                          .compress = Effort::usual}},
                              progress);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), Errc::invalid);
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

// A format of whose images one thing fails, at some call.
class Failing final : public Format {
 public:
  enum class What : unsigned char { encode, no_memory, write_encoded, write };
  Failing(What what, int at) : what_(what), left_(at) {}

  std::string_view name() const override { return "failing"; }
  std::span<const std::string_view> extensions() const override { return {}; }
  std::span<const std::string_view> variants() const override { return {}; }
  Match probe(const ProbeInput& /*input*/) const override { return Match::no; }
  Result<ImagePtr> open(const OpenRequest& /*request*/) const override {
    return Error(Errc::wrong_format, "is never one");
  }
  bool can_create() const override { return true; }
  bool can_compress() const override { return true; }
  Result<ImageWriterPtr> create(const CreateRequest& request) const override;

  Result<void> step(What what) const {
    if (what != what_ && !(what == What::encode && what_ == What::no_memory)) return {};
    if (left_-- != 1) return {};
    if (what_ == What::no_memory) throw std::bad_alloc();
    return Error(Errc::no_space, "the host is full", ENOSPC);
  }

 private:
  const What what_;
  mutable std::atomic<int> left_;
};

class FailingWriter final : public ImageWriter, public Encoder {
 public:
  FailingWriter(FilePtr file, const Failing& owner) : file_(std::move(file)), owner_(owner) {}
  uint64_t block_size() const override { return 64 * KiB; }
  const Encoder* encoder() const override { return this; }
  uint64_t max_stored() const override { return 60 * KiB; }
  Result<size_t> encode(Bytes unit, MutableBytes stored) const override {
    TRY(owner_.step(Failing::What::encode));
    stored[0] = unit[0];
    return static_cast<size_t>(unit[1] == unit[0] ? 1 : 0);
  }
  Result<void> write(uint64_t offset, Bytes data) override {
    TRY(owner_.step(Failing::What::write));
    return file_->write(offset, data);
  }
  Result<void> write_encoded(uint64_t offset, Bytes stored) override {
    TRY(owner_.step(Failing::What::write_encoded));
    return file_->write(offset, stored);
  }
  Result<void> finish() override { return {}; }

 private:
  const FilePtr file_;
  const Failing& owner_;
};

Result<ImageWriterPtr> Failing::create(const CreateRequest& request) const {
  return ImageWriterPtr(std::make_unique<FailingWriter>(request.file, *this));
}

TEST(ConvertCompressedFails, AndLeavesNothingWhateverFailsWhenever) {
  const MemoryDisk disk = test::memory_disk(mixed_disk(21 * MiB));
  const TempDir dir;
  NoProgress progress;
  for (const auto what : {Failing::What::encode, Failing::What::no_memory,
                          Failing::What::write_encoded, Failing::What::write}) {
    for (const int at : {1, 2, 10}) {
      const Failing format(what, at);
      const auto report = convert({.sources = {disk.view},
                                   .target = {.path = dir / "new",
                                              .format = format,
                                              .size = 21 * MiB,
                                              .compress = Effort::usual},
                                   .threads = 3},
                                  progress);
      ASSERT_FALSE(report) << static_cast<int>(what) << " " << at;
      EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
    }
  }
}

}  // namespace
}  // namespace platter
