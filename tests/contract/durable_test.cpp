// What says it is durable when it returns, is: a new image, what an image says of itself, the
// flush that nobody asked for.
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "lib/image/registry.h"
#include "tests/contract/history.h"
#include "tests/support/bytes.h"
#include "tests/support/crash_file.h"
#include "tests/support/same_bytes.h"
#include "tests/support/test_keys.h"
#include "tests/support/wrapped_file.h"

namespace platter::test {
namespace {

// A variant of a format that can be made.
struct Made {
  const Format* format;
  CreatableVariant variant;
};
void PrintTo(const Made& made, std::ostream* out) { *out << made.variant.name; }

std::vector<Made> everything_made() {
  std::vector<Made> list;
  for (const Format* format : all_formats()) {
    for (const CreatableVariant& variant : format->creatable_variants()) {
      list.push_back({format, variant});
    }
  }
  return list;
}

constexpr uint64_t kSize = 2 * MiB + 512 * KiB;

// Half of the disk, in the middle of it, and its end.
std::vector<std::byte> contents() {
  std::vector<std::byte> disk = pattern(0, kSize, 1);
  std::fill_n(disk.begin(), MiB, std::byte{0});
  return disk;
}

// The files of an image, all of which lose power at once.
class NewFiles final : public NewParts {
 public:
  explicit NewFiles(WrappedFile::Before before) : before_(std::move(before)) {}

  FilePtr image() const { return std::make_shared<WrappedFile>(image_, before_); }
  Result<FilePtr> make(const std::string& name) override {
    parts_[name] = std::make_shared<CrashFile>(name);
    return FilePtr(std::make_shared<WrappedFile>(parts_[name], before_));
  }
  struct Left {
    FilePtr image;
    std::unique_ptr<Resolver> parts;
  };
  Left crash(std::mt19937_64& random) const {
    std::map<std::string, FilePtr> parts;
    for (const auto& [name, file] : parts_) parts[name] = file->crash(random);
    return {image_->crash(random), map_resolver(std::move(parts))};
  }

 private:
  const WrappedFile::Before before_;
  const std::shared_ptr<CrashFile> image_ = std::make_shared<CrashFile>();
  std::map<std::string, std::shared_ptr<CrashFile>> parts_;
};

Result<void> make(const Made& made, NewFiles& files, Bytes disk) {
  Options options = quick_options(*made.format);
  if (!made.variant.option.empty()) {
    options.emplace(made.variant.option, made.variant.value);
  }
  const auto writer = TRY(made.format->create({.file = files.image(),
                                               .size = kSize,
                                               .options = options,
                                               .parts = &files,
                                               .keys = test_keys()}));
  // Whole blocks; the first ones are empty where they are small.
  const uint64_t step = std::max(MiB, writer->block_size());
  for (uint64_t at = align_down(MiB, step); at < kSize; at += step) {
    TRY(writer->write(at, disk.subspan(at, std::min(step, kSize - at))));
  }
  return writer->finish();
}

Result<std::vector<std::byte>> read_image(const Format& format, const NewFiles::Left& files) {
  const ImagePtr image = TRY(format.open({.file = files.image,
                                          .resolver = *files.parts,
                                          .tables = std::make_shared<PageCache>(64 * KiB),
                                          .keys = test_keys()}));
  BlockCache blocks(64 * KiB);
  const View view({{image.get(), 0}}, blocks);
  std::vector<std::byte> out(view.size());
  TRY(view.read(0, out));
  return out;
}

// Whether a probe takes it for an image of the format, for what is in it.
bool claims(const Format& format, const File& file) {
  const auto probed = probe(file);
  return probed && probed->format == &format && !probed->guessed;
}

class Create : public testing::TestWithParam<Made> {};

TEST_P(Create, MakesNoImageOrAWholeOneWhenPowerIsLost) {
  const Format& format = *GetParam().format;
  const std::vector<std::byte> wanted = contents();
  for (uint64_t seed = 0; seed < 4; ++seed) {
    std::mt19937_64 random(seed);
    std::optional<NewFiles> files;
    files.emplace([&](Call call) -> Result<void> {
      if (call == Call::read) return {};
      const NewFiles::Left after = files->crash(random);
      if (!claims(format, *after.image)) return {};
      const auto disk = read_image(format, after);
      EXPECT_TRUE(!disk || same(*disk, wanted));
      return {};
    });
    const auto made = make(GetParam(), *files, wanted);
    ASSERT_TRUE(made) << made.error().message();
    for (int i = 0; i < 4; ++i) {
      const auto disk = read_image(format, files->crash(random));
      ASSERT_TRUE(disk) << disk.error().message();
      EXPECT_TRUE(same(*disk, wanted));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Create, testing::ValuesIn(everything_made()),
                         [](const auto& test) {
                           return std::string(test.param.format->name()) + "_" +
                                  std::string(test.param.variant.name);
                         });

class Durable : public testing::TestWithParam<Subject> {};

TEST_P(Durable, IsWhatAnImageSaysOfItself) {
  const Subject& subject = GetParam();
  for (uint64_t seed = 0; seed < 8; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<CrashFile>();
    ASSERT_TRUE(subject.create(file));
    Epochs epochs;
    const auto comment = [&] {
      auto image = subject.open(file->crash(random), epochs, false);
      return image ? (*image)->info().comment : image.error().message();
    };
    const auto look = [&](Call call) -> Result<void> {
      const std::string seen = call == Call::read ? "" : comment();
      EXPECT_TRUE(seen.empty() || seen == "of May") << seen;
      return {};
    };
    auto image = subject.open(std::make_shared<WrappedFile>(file, look), epochs, true);
    ASSERT_TRUE(image);
    const Result<void> done = (*image)->set_metadata({{"comment", "of May"}});
    if (!done && done.error().code() == Errc::unsupported) return;
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_EQ(comment(), "of May");
  }
}

std::string name_of_parent(const Result<ImagePtr>& image) {
  if (!image) return image.error().message();
  const std::optional<ParentLink>& link = (*image)->info().parent;
  if (!link) return "none";
  std::string name = link->reference + " " + link->content_id;
  for (const auto& id : {link->uuid, link->modification_uuid}) {
    name += id ? " " + id->to_string() : " -";
  }
  return name;
}

TEST_P(Durable, IsTheParentAnImageNames) {
  const Subject& subject = GetParam();
  if (!subject.is_child) return;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<CrashFile>();
    ASSERT_TRUE(subject.create(file));
    Epochs epochs;
    std::set<std::string> seen;
    const auto look = [&](Call call) -> Result<void> {
      if (call != Call::read) {
        seen.insert(name_of_parent(subject.open(file->crash(random), epochs, false)));
      }
      return {};
    };
    auto image = subject.open(std::make_shared<WrappedFile>(file, look), epochs, true);
    ASSERT_TRUE(image) << image.error().message();
    const std::string before = name_of_parent(image);
    const Result<void> done =
        (*image)->set_parent({.reference = "another/place/than/the/old/one.img",
                              .format = (*image)->info().format,
                              .uuid = Uuid::random(),
                              .modification_uuid = Uuid::random(),
                              .content_id = "89abcdef"});
    ASSERT_TRUE(done) << done.error().message();
    const std::string after = name_of_parent(subject.open(file->crash(random), epochs, false));
    EXPECT_NE(after, before);
    seen.erase(before);
    seen.erase(after);
    EXPECT_TRUE(seen.empty()) << *seen.begin();
    EXPECT_FALSE(subject.fault(file->crash(random)));
  }
}

// What is not the image's own is not looked at: it is the parent's before, and zeroes after, and
// sectors that a power cut left without a bit are neither.
TEST_P(Durable, IsThatAnImageHasNoParent) {
  const Subject& subject = GetParam();
  if (!subject.is_child) return;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    std::mt19937_64 random(seed);
    const TestParent parent(subject.disk_size);
    auto file = std::make_shared<CrashFile>();
    ASSERT_TRUE(subject.create(file));
    {
      TestDisk disk(subject, file, parent.image());
      for (unsigned step = 1; step < 40; ++step) {
        ASSERT_TRUE(apply(disk.writer(), draw(random, subject.disk_size, step)));
      }
    }
    file = std::make_shared<CrashFile>(*file->crash(random));
    const auto own = contents_of(subject, file);
    Epochs epochs;
    const std::string before = name_of_parent(subject.open(file->crash(random), epochs, false));
    const auto look = [&](Call call) -> Result<void> {
      if (call == Call::read) return {};
      const auto after = file->crash(random);
      const std::string name = name_of_parent(subject.open(after, epochs, false));
      EXPECT_TRUE(name == before || name == "none") << name;
      EXPECT_TRUE(same(contents_of(subject, after), own));
      return {};
    };
    auto image = subject.open(std::make_shared<WrappedFile>(file, look), epochs, true);
    ASSERT_TRUE(image) << image.error().message();
    const Result<void> done = (*image)->drop_parent();
    ASSERT_TRUE(done) << done.error().message();
    const auto after = file->crash(random);
    EXPECT_EQ(name_of_parent(subject.open(after, epochs, false)), "none");
    EXPECT_TRUE(same(contents_of(subject, after), own));
    EXPECT_FALSE(subject.fault(after));
    image = subject.open(std::make_shared<CrashFile>(*after), epochs, true);
    ASSERT_TRUE(image) << image.error().message();
    EXPECT_EQ((*image)->drop_parent().error().code(), Errc::unsupported);
  }
}

// The wait ends when it is so; the limit is for a flush that never comes.
TEST_P(Durable, IsAWriteAfterAWhileThoughNobodyFlushes) {
  const Subject& subject = GetParam();
  std::mt19937_64 random(1);
  const TestParent parent(subject.disk_size);
  const Image* below = parent.below(subject);
  const auto file = std::make_shared<CrashFile>();
  ASSERT_TRUE(subject.create(file));
  TestDisk disk(subject, file, below, {.flush_every_ms = 1});
  ASSERT_TRUE(disk.write({1000, 3000}, std::byte{7}));
  const auto wanted = disk.contents();
  const auto is_durable = [&] {
    return file->unsynced() == 0 && same(contents_of(subject, file->crash(random), below), wanted);
  };
  for (int i = 0; i < 20'000 && !is_durable(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(is_durable());
}

INSTANTIATE_TEST_SUITE_P(Formats, Durable, testing::ValuesIn(subjects()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter::test
