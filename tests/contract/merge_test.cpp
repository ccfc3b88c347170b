// Layers merged while power may be lost at any call of the file that takes them.
#include <gtest/gtest.h>

#include "lib/image/registry.h"
#include "lib/ops/layer_copy.h"
#include "tests/contract/history.h"
#include "tests/support/crash_file.h"
#include "tests/support/rounds.h"
#include "tests/support/same_bytes.h"
#include "tests/support/wrapped_file.h"

namespace platter::test {
namespace {

std::vector<std::byte> read_view(const View& view) {
  std::vector<std::byte> bytes(view.size());
  const Result<void> done = view.read(0, bytes);
  if (!done) throw std::runtime_error(done.error().message());
  return bytes;
}

std::vector<View::Layer> stack(std::initializer_list<const Image*> images) {
  std::vector<View::Layer> layers;
  for (const Image* image : images) {
    if (image != nullptr) layers.push_back({image, 0});
  }
  return layers;
}

// Data, zeroes and nothing, in pieces of sectors.
class MemoryLayer {
 public:
  MemoryLayer(uint64_t size, std::mt19937_64& random) {
    const Options options{{"cluster_size", "512"}};
    const auto writer =
        find_format("qcow2")->create({.file = file_,
                                      .size = size,
                                      .options = options,
                                      .parent = ParentLink{.reference = "p", .format = "raw"}});
    if (!writer || !(*writer)->finish()) throw std::runtime_error("no layer can be made");
    OpenDisk disk([&](Epochs& epochs) { return open(&epochs); });
    for (unsigned step = 1; step < 30; ++step) {
      const Operation operation = draw(random, size, 255 - step);
      if (!apply(disk.writer(), operation)) throw std::runtime_error("no layer can be written");
    }
    if (!disk.writer().close()) throw std::runtime_error("no layer can be flushed");
    image_ = *open(nullptr);
  }
  const Image* image() const { return image_.get(); }

 private:
  Result<ImagePtr> open(Epochs* epochs) const {
    return find_format("qcow2")->open({.file = file_,
                                       .resolver = *deny_,
                                       .tables = std::make_shared<PageCache>(64 * KiB),
                                       .writable = epochs != nullptr,
                                       .epochs = epochs});
  }
  const FilePtr file_ = std::make_shared<MemoryFile>("layer");
  const std::unique_ptr<Resolver> deny_ = deny_resolver("a test");
  ImagePtr image_;
};

class Merge : public testing::TestWithParam<Subject> {
 protected:
  // A disk of the subject with some data.
  std::shared_ptr<CrashFile> written(const Image* below, std::mt19937_64& random) const {
    const auto file = std::make_shared<CrashFile>();
    EXPECT_TRUE(GetParam().create(file));
    TestDisk disk(GetParam(), file, below);
    for (unsigned step = 1; step < 30; ++step) {
      EXPECT_TRUE(apply(disk.writer(), draw(random, GetParam().disk_size, step)));
    }
    EXPECT_TRUE(disk.writer().close());
    return file;
  }
  ImagePtr opened(const FilePtr& file, Epochs& epochs) const {
    auto image = GetParam().open(file, epochs, false);
    if (!image) throw std::runtime_error(image.error().message());
    return std::move(*image);
  }

  BlockCache blocks_{64 * KiB};
  Epochs epochs_;
};

TEST_P(Merge, DownIsHiddenByTheLayerUntilAllOfItIsThere) {
  const Subject& subject = GetParam();
  for (uint64_t seed = 1; seed <= rounds(1); ++seed) {
    std::mt19937_64 random(seed);
    const TestParent parent(subject.disk_size);
    const Image* below = parent.below(subject, seed);
    const auto file = written(below, random);
    const MemoryLayer layer(subject.disk_size, random);
    const auto together = [&](const FilePtr& after) {
      const ImagePtr image = opened(after, epochs_);
      return read_view(View(stack({layer.image(), image.get(), below}), blocks_));
    };
    const auto before = together(file->crash(random));
    const auto look = [&](Call call) -> Result<void> {
      if (call == Call::read) return {};
      EXPECT_TRUE(same(together(file->crash(random)), before));
      return {};
    };
    TestDisk disk(subject, std::make_shared<WrappedFile>(file, look), below);
    const View upper(stack({layer.image()}), blocks_);
    NoProgress progress;
    const LayerCopy copy{.from = upper, .to = disk.writer(), .layout = disk.layout()};
    const auto done = copy_layers(copy, 1, progress);
    ASSERT_TRUE(done) << done.error().message();
    ASSERT_TRUE(disk.writer().close());
    EXPECT_TRUE(same(contents_of(subject, file->crash(random), below), before));
    EXPECT_FALSE(subject.fault(file->crash(random)));
  }
}

TEST_P(Merge, UpShowsTheSameDiskUntilItHasNoParentAndAfterwards) {
  const Subject& subject = GetParam();
  if (!subject.is_child) return;
  for (uint64_t seed = 1; seed <= rounds(1); ++seed) {
    std::mt19937_64 random(seed);
    const MemoryLayer layer(subject.disk_size, random);
    const auto file = written(layer.image(), random);
    const auto shown = [&](const FilePtr& after) {
      const ImagePtr image = opened(after, epochs_);
      const Image* parent = image->info().parent ? layer.image() : nullptr;
      return read_view(View(stack({image.get(), parent}), blocks_));
    };
    const auto before = shown(file->crash(random));
    const auto look = [&](Call call) -> Result<void> {
      if (call == Call::read) return {};
      EXPECT_TRUE(same(shown(file->crash(random)), before));
      return {};
    };
    TestDisk disk(subject, std::make_shared<WrappedFile>(file, look), layer.image(),
                  {.zeroes = Zeroes::own, .flush_every_ms = 0});
    const View lower(stack({layer.image()}), blocks_);
    NoProgress progress;
    const LayerCopy copy{.from = lower,
                         .to = disk.writer(),
                         .layout = disk.layout(),
                         .below = true,
                         .zeroes_show = true};
    const auto done = copy_layers(copy, 1, progress);
    ASSERT_TRUE(done) << done.error().message();
    ASSERT_TRUE(disk.writer().close());
    ASSERT_TRUE(disk.image().drop_parent());
    const auto after = file->crash(random);
    EXPECT_FALSE(opened(after, epochs_)->info().parent);
    EXPECT_TRUE(same(shown(after), before));
    EXPECT_FALSE(subject.fault(after));
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Merge, testing::ValuesIn(subjects()), kSubjectName);

}  // namespace
}  // namespace platter::test
