#include "tests/contract/subject.h"

#include <gtest/gtest.h>

#include "lib/image/registry.h"
#include "lib/io/memory_file.h"
#include "tests/support/toy_image.h"

namespace platter::test {
namespace {

Subject toy() {
  Subject s{.name = "toy", .disk_size = 24 * KiB + 512};
  s.create = [size = s.disk_size](const FilePtr& file) { return ToyImage::create(*file, size); };
  s.open = [](const FilePtr& file, Epochs& epochs, bool) -> Result<ImagePtr> {
    return ImagePtr(TRY(ToyImage::open(file, epochs)));
  };
  s.fault = [](const FilePtr& file) -> std::optional<std::string> {
    Epochs epochs;
    auto image = ToyImage::open(file, epochs);
    if (!image) return image.error().message();
    return (*image)->fault();
  };
  return s;
}

// A format of the registry. options: of create.
Subject of_format(const std::string& name, uint64_t disk_size, Options options) {
  const Format* format = find_format(name);
  Subject s{.name = name, .can_resize = format->can_resize(), .disk_size = disk_size};
  s.create = [=](const FilePtr& file) -> Result<void> {
    const auto writer =
        TRY(format->create(CreateRequest{.file = file, .size = disk_size, .options = options}));
    return writer->finish();
  };
  s.open = [=](const FilePtr& file, Epochs& epochs, bool writable) -> Result<ImagePtr> {
    const auto denied = deny_resolver("no other file is part of this");
    return format->open(OpenRequest{.file = file,
                                    .resolver = *denied,
                                    .tables = std::make_shared<PageCache>(64 * KiB),
                                    .writable = writable,
                                    .epochs = &epochs});
  };
  s.fault = [=](const FilePtr& file) -> std::optional<std::string> {
    Epochs epochs;
    auto image = s.open(file, epochs, false);
    if (!image) return image.error().message();
    CheckReport report;
    auto done = (*image)->check(Repair::none, report);
    // A format without rules has none to break.
    if (!done && done.error().code() == Errc::unsupported) return std::nullopt;
    if (!done) return done.error().message();
    if (report.corruptions == 0) return std::nullopt;
    return report.messages.front();
  };
  return s;
}

std::vector<View::Layer> layers(const Image* top, const Image* parent) {
  std::vector<View::Layer> layers{{top, 0}};
  if (parent != nullptr) layers.push_back({parent, 0});
  return layers;
}

ImagePtr open_or_throw(const Subject& subject, const FilePtr& file, Epochs& epochs, bool writable) {
  Result<ImagePtr> image = subject.open(file, epochs, writable);
  if (!image) throw std::runtime_error(subject.name + ": " + image.error().message());
  return std::move(*image);
}

std::vector<std::byte> read_all(const View& view) {
  std::vector<std::byte> out(view.size());
  Result<void> done = view.read(0, out);
  EXPECT_TRUE(done) << done.error().message();
  return out;
}

}  // namespace

std::vector<Subject> subjects() {
  return {toy(), of_format("raw", 24 * KiB + 512, {}),
          of_format("vdi", 24 * KiB + 512, {{"block_size", "2k"}})};
}

TestDisk::TestDisk(const Subject& subject, const FilePtr& file, const Image* parent,
                   WriterOptions options)
    : image_(open_or_throw(subject, file, epochs_, true)),
      view_(std::make_shared<const View>(layers(image_.get(), parent), blocks_)),
      writer_(std::make_unique<Writer>(view_, *image_, epochs_, options)) {}

Result<void> TestDisk::write(const Range& range, std::byte value) {
  return writer_->write(range.offset, std::vector<std::byte>(range.length, value));
}

std::vector<std::byte> TestDisk::contents() const { return read_all(*view_); }

std::vector<std::byte> contents_of(const Subject& subject, const FilePtr& file,
                                   const Image* parent) {
  Epochs epochs;
  BlockCache blocks(64 * KiB);
  const ImagePtr image = open_or_throw(subject, file, epochs, false);
  return read_all(View(layers(image.get(), parent), blocks));
}

TestParent::TestParent(const Subject& subject) {
  const auto file = std::make_shared<MemoryFile>("parent");
  EXPECT_TRUE(subject.create(file));
  {
    TestDisk disk(subject, file);
    const uint64_t size = subject.disk_size;
    EXPECT_TRUE(disk.write({0, size / 5 * 2}, std::byte{0xee}));
    EXPECT_TRUE(disk.write({size / 5 * 3, size / 3}, std::byte{0xee}));
    EXPECT_TRUE(disk.writer().close());
  }
  image_ = open_or_throw(subject, file, epochs_, false);
}

}  // namespace platter::test
