#include <platter/virtual_disk.h>

#include <fmt/format.h>

#include "lib/api/facts.h"
#include "lib/api/stack.h"
#include "lib/base/checked.h"
#include "lib/container/choose_snapshot.h"
#include "lib/ops/child.h"
#include "lib/ops/image_files.h"
#include "lib/ops/set.h"

namespace platter {
namespace {

using What = SnapshotRequest::What;

OpenImage to_open(const NewImageOf& image) {
  return {.path = image.path,
          .format = image.format,
          .flags = image.flags,
          .references = image.references,
          .passphrase = image.passphrase};
}

Result<void> expect_no_dvd(VirtualDisk::Kind kind) {
  if (kind != VirtualDisk::Kind::dvd) return {};
  return Error(Errc::read_only, "a DVD is only read");
}

Result<void> change_snapshot(Container& container, What what, const std::string& which,
                             const std::string& name) {
  SnapshotRequest request{.what = what, .id = 0, .name = name};
  if (what != What::create) {
    const Layout::Request looking(container.layout());
    const NamedBy named_by = what == What::apply ? NamedBy::id_or_name : NamedBy::name;
    request.id =
        TRY(choose_snapshot(container.chain().front().image->snapshots(), which, named_by)).id;
  }
  return container.change_snapshots(request);
}

}  // namespace

VirtualDisk::VirtualDisk(Kind kind) : stack_(std::make_unique<Stack>(kind)) {}
VirtualDisk::~VirtualDisk() {
  if (stack_ != nullptr) (void)close_all();
}
VirtualDisk::VirtualDisk(VirtualDisk&& other) noexcept = default;
VirtualDisk& VirtualDisk::operator=(VirtualDisk&& other) noexcept {
  std::swap(stack_, other.stack_);
  return *this;
}

Result<void> VirtualDisk::open(const OpenImage& image) { return stack_->push(image); }
Result<void> VirtualDisk::open_chain(const OpenImage& top) { return stack_->open_chain(top); }

Result<void> VirtualDisk::create_base(const NewImageOf& image) {
  if (!stack_->empty()) return Error(Errc::invalid, "other images are open");
  TRY(expect_no_dvd(kind()));
  TRY(api::make_image(image, image.size, std::nullopt));
  Result<void> opened = open(to_open(image));
  if (!opened) api::remove_new(image);
  return opened;
}

Result<void> VirtualDisk::create_child(const NewImageOf& image) {
  TRY(stack_->readable());
  TRY(expect_no_dvd(kind()));
  bool made = false;
  // Its parent is looked at, which somebody who writes it would not allow.
  Result<void> done = stack_->closed([&](std::vector<OpenImage>& images) -> Result<void> {
    const Format* const format = TRY(api::format_of(image.format));
    const NewParent parent = TRY(describe_parent({.path = images.back().path,
                                                  .format = images.back().format,
                                                  .references = api::policy_of(image.references),
                                                  .child = image.path,
                                                  .child_format = format}));
    TRY(api::make_image(image, image.size != 0 ? image.size : parent.size, parent.link));
    made = true;
    images.push_back(to_open(image));
    return {};
  });
  if (!done && made) api::remove_new(image);
  return done;
}

Result<void> VirtualDisk::close(Remove remove) {
  TRY(stack_->expect(0));
  const ImageFiles files = TRY(ImageFiles::of(stack_->container()->chain().front()));
  Result<void> flushed = stack_->shut();
  Result<void> removed;
  if (remove == Remove::files) removed = files.remove();
  Result<void> opened = stack_->pop();
  if (!flushed) return flushed;
  return removed ? std::move(opened) : std::move(removed);
}

Result<void> VirtualDisk::close_all() { return stack_->clear(); }

size_t VirtualDisk::count() const { return stack_->images().size(); }
bool VirtualDisk::is_read_only() const { return !stack_->writable(); }
VirtualDisk::Kind VirtualDisk::kind() const { return stack_->kind(); }

uint64_t VirtualDisk::size() const {
  const Container* const container = stack_->container();
  return container == nullptr ? 0 : container->layout().size();
}

Result<void> VirtualDisk::read(uint64_t offset, std::span<std::byte> out) const {
  const Container& container = *TRY(stack_->readable());
  const Layout::Request reading(container.layout());
  TRY_IN(container.chain().front().path, reading.view().read(offset, out));
  return {};
}

Result<void> VirtualDisk::write(uint64_t offset, std::span<const std::byte> data) {
  Container& container = *TRY(stack_->writable_container());
  TRY_IN(container.chain().front().path, container.writer()->write(offset, data));
  return {};
}

Result<void> VirtualDisk::zero(ByteRange range) {
  Container& container = *TRY(stack_->writable_container());
  TRY_IN(container.chain().front().path,
         container.writer()->zero({range.offset, range.length}, File::Zero::keep_space));
  return {};
}

Result<void> VirtualDisk::discard(std::span<const ByteRange> ranges) {
  Writer& writer = *TRY(stack_->writable_container())->writer();
  if (!stack_->images().back().flags.discard) {
    return Error(Errc::unsupported, "the image was opened without OpenFlags::discard");
  }
  // All or none of them make sense.
  for (const ByteRange& range : ranges) {
    if (fits(range.offset, range.length, size())) continue;
    return Error(Errc::out_of_range, "outside the disk");
  }
  for (const ByteRange& range : ranges) TRY(writer.discard({range.offset, range.length}));
  return {};
}

Result<void> VirtualDisk::flush() {
  TRY(stack_->readable());
  return stack_->writable() ? stack_->container()->writer()->flush() : Result<void>();
}

Result<DiskRun> VirtualDisk::map(ByteRange range) const {
  const Container& container = *TRY(stack_->readable());
  const Layout::Request looking(container.layout());
  if (!fits(range.offset, range.length, looking.view().size()) || range.length == 0) {
    return Error(Errc::out_of_range, "outside the disk");
  }
  return api::run_of(TRY(looking.view().map({range.offset, range.length})), count());
}

Result<ImageFacts> VirtualDisk::facts(size_t image) const {
  TRY(stack_->expect(image));
  const Container& container = *stack_->container();
  const Layout::Request looking(container.layout());
  return api::facts_of(container.chain()[count() - 1 - image], stack_->flags(image));
}

Result<void> VirtualDisk::set_flags(size_t image, OpenFlags flags) {
  TRY(stack_->expect(image));
  if (flags == stack_->images()[image].flags) return {};
  if (flags.info != stack_->images()[image].flags.info) {
    return Error(Errc::invalid, "what an image is open for does not change");
  }
  return stack_->closed([&](std::vector<OpenImage>& images) -> Result<void> {
    images[image].flags = flags;
    return {};
  });
}

Result<void> VirtualDisk::set(size_t image,
                              const std::vector<std::pair<std::string, std::string>>& values) {
  TRY(stack_->expect(image));
  const OpenImage& one = stack_->images()[image];
  if (one.flags.read_only) {
    return Error(Errc::read_only, fmt::format("{}: is open for reading only", one.path));
  }
  return stack_->closed([&](std::vector<OpenImage>& images) {
    return set_metadata(
        {.path = images[image].path, .format = images[image].format, .values = values});
  });
}

Result<void> VirtualDisk::resize(uint64_t size, bool shrink) {
  Container& container = *TRY(stack_->writable_container());
  const uint64_t before = container.layout().size();
  if (size == 0 || (size < before && !shrink)) {
    return Error(Errc::invalid, "the end of the disk would be lost, and that is not asked for");
  }
  Writer& writer = *container.writer();
  return size < before ? writer.shrink(size) : writer.grow(size);
}

Result<std::vector<SnapshotFacts>> VirtualDisk::snapshots() const {
  TRY(stack_->expect(0));
  const Container& container = *stack_->container();
  const Layout::Request looking(container.layout());
  std::vector<SnapshotFacts> snapshots;
  for (const SnapshotInfo& s : container.chain().front().image->snapshots()) {
    snapshots.push_back(api::facts_of(s));
  }
  return snapshots;
}

Result<void> VirtualDisk::create_snapshot(const std::string& name) {
  return change_snapshot(*TRY(stack_->writable_container()), What::create, {}, name);
}
Result<void> VirtualDisk::remove_snapshot(const std::string& name) {
  return change_snapshot(*TRY(stack_->writable_container()), What::remove, name, {});
}
Result<void> VirtualDisk::rename_snapshot(const std::string& name, const std::string& to) {
  return change_snapshot(*TRY(stack_->writable_container()), What::rename, name, to);
}
Result<void> VirtualDisk::apply_snapshot(const std::string& name) {
  return change_snapshot(*TRY(stack_->writable_container()), What::apply, name, {});
}

}  // namespace platter
