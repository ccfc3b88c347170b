#include "lib/api/stack.h"

#include <algorithm>

#include <fmt/format.h>

#include "lib/image/registry.h"

namespace platter {
namespace {

constexpr uint64_t kDvdSector = 2048;
constexpr uint64_t kLargestFloppy = 2880 * KiB;

// Who wants to write can do with reading, if it is this that went wrong.
bool may_be_read(Errc code) {
  switch (code) {
    case Errc::read_only:
    case Errc::denied:
    case Errc::busy:
    case Errc::unsupported: return true;
    default: return false;
  }
}

}  // namespace

OpenFlags VirtualDisk::Stack::flags(size_t image) const {
  OpenFlags flags = images_[image].flags;
  if (image + 1 < images_.size() || !writable()) flags.read_only = true;
  return flags;
}

Result<void> VirtualDisk::Stack::expect(size_t image) const {
  if (images_.empty()) return Error(Errc::invalid, "no image is open");
  if (image < images_.size()) return {};
  return Error(Errc::invalid,
               fmt::format("there is no image {}: {} are open", image, images_.size()));
}

Result<const Container*> VirtualDisk::Stack::readable() const {
  TRY(expect(0));
  if (!images_.back().flags.info) return container_.get();
  return Error(Errc::invalid,
               fmt::format("{}: is open for what it says of itself alone", images_.back().path));
}

Result<Container*> VirtualDisk::Stack::writable_container() const {
  TRY(readable());
  if (writable()) return container_.get();
  return Error(Errc::read_only, fmt::format("{}: is open for reading only", images_.back().path));
}

Result<void> VirtualDisk::Stack::push(const OpenImage& image) {
  if (!images_.empty() && (image.flags.info || images_.back().flags.info)) {
    return Error(
        Errc::invalid,
        fmt::format("{}: an image that is open for what it says of itself is alone", image.path));
  }
  return closed([&](std::vector<OpenImage>& images) -> Result<void> {
    images.push_back(image);
    return {};
  });
}

Result<void> VirtualDisk::Stack::open_chain(const OpenImage& top) {
  if (!images_.empty()) return Error(Errc::invalid, "other images are open");
  images_.push_back(top);
  Result<std::unique_ptr<Container>> opened = open_container(true);
  Result<void> done;
  if (!opened) {
    done = std::move(opened.error());
  } else {
    // From now on the parents are those that were found.
    images_.clear();
    for (const ChainLayer& layer : (*opened)->chain()) {
      OpenImage image = top;
      image.path = layer.path;
      if (layer.format != nullptr) image.format = layer.format->name();
      images_.push_back(std::move(image));
    }
    std::ranges::reverse(images_);
    images_.back().format = top.format;
    done = take(std::move(*opened));
  }
  if (!done) images_.clear();
  return done;
}

Result<void> VirtualDisk::Stack::shut() {
  if (container_ == nullptr) return {};
  Result<void> closed;
  if (writable()) closed = container_->writer()->close();
  container_.reset();
  return closed;
}

Result<void> VirtualDisk::Stack::pop() {
  images_.pop_back();
  Result<void> opened = open_again();
  if (!opened) images_.clear();
  return opened;
}

Result<void> VirtualDisk::Stack::clear() {
  Result<void> closed = shut();
  images_.clear();
  return closed;
}

Result<void> VirtualDisk::Stack::open_again() {
  if (images_.empty()) return {};
  return take(TRY(open_container(false)));
}

// chain: the parents are those that the images name.
Result<std::unique_ptr<Container>> VirtualDisk::Stack::open_container(bool chain) const {
  const OpenImage& top = images_.back();
  api::Passphrases keys;
  for (const OpenImage& image : images_) keys.add(image.path, image.passphrase);
  ContainerOptions options = api::options_to_read(top, &keys);
  options.parents = !top.flags.info;
  if (!chain && !top.flags.info) {
    options.given.emplace();
    for (size_t i = images_.size() - 1; i-- > 0;) {
      const Format* format = nullptr;
      if (!images_[i].format.empty()) format = TRY(api::format_of(images_[i].format));
      options.given->push_back({.path = images_[i].path, .format = format});
    }
  }
  options.writer.zeroes = top.flags.honor_zeroes ? Zeroes::keep : Zeroes::detect;
  options.writer.store_same = top.flags.honor_same;
  auto container = TRY(open_as_asked(options));
  if (top.flags.sequential) {
    for (const FilePtr& file : container->chain().front().image->files()) {
      file->expect_sequential();
    }
  }
  return container;
}

Result<std::unique_ptr<Container>> VirtualDisk::Stack::open_as_asked(
    ContainerOptions options) const {
  const OpenImage& top = images_.back();
  if (top.flags.read_only || top.flags.info || kind_ == Kind::dvd) {
    return Container::open(top.path, options);
  }
  options.access = Access::write;
  Result<std::unique_ptr<Container>> written = Container::open(top.path, options);
  const bool refused = !written && may_be_read(written.error().code());
  if (!refused) return written;
  options.access = Access::read;
  Result<std::unique_ptr<Container>> read = Container::open(top.path, options);
  return read ? std::move(read) : std::move(written);
}

Result<void> VirtualDisk::Stack::take(std::unique_ptr<Container> container) {
  TRY_IN(images_.back().path, expect_kind(*container));
  container_ = std::move(container);
  return {};
}

Result<void> VirtualDisk::Stack::expect_kind(const Container& container) const {
  const uint64_t size = container.chain().front().image->size();
  if (kind_ == Kind::dvd && size % kDvdSector != 0) {
    return Error(Errc::invalid, "is no DVD: it ends inside a sector of 2048 bytes");
  }
  if (kind_ != Kind::floppy) return {};
  if (size > kLargestFloppy) return Error(Errc::invalid, "is too large for a floppy disk");
  if (images_.size() == 1) return {};
  return Error(Errc::invalid, "a floppy disk is one image, without a parent");
}

}  // namespace platter
