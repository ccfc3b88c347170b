#include "lib/ops/resize.h"

#include <algorithm>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/base/text.h"

namespace platter {
namespace {

Result<uint64_t> new_size(const ResizeArgs& args, uint64_t size) {
  const auto [kind, bytes] = args.change;
  if (kind == SizeChange::Kind::by_less && bytes > size) {
    return Error(Errc::invalid, fmt::format("the disk has only {} bytes", size));
  }
  uint64_t wanted = bytes;
  if (kind == SizeChange::Kind::by_less) wanted = size - bytes;
  if (kind == SizeChange::Kind::by_more) wanted = checked_add(size, bytes).value_or(kMaxOffset + 1);
  if (wanted == 0) return Error(Errc::invalid, "a disk of 0 bytes: it has to hold something");
  if (wanted > kMaxOffset) return Error(Errc::invalid, "a disk of more than 8 EiB");
  if (wanted < size && !args.shrink) {
    return Error(
        Errc::invalid,
        fmt::format("would lose the last {} of the disk: --shrink says that this is wanted",
                    human_size(size - wanted)));
  }
  return wanted;
}

// Where the disk ends inside a block that only its parents have, a longer parent would show behind
// the old end: the image gets that block for itself. It reads the same before and after.
Result<void> own_the_last_block(const Container& container) {
  const View& view = *container.live();
  const uint64_t size = view.size();
  const uint64_t unit = container.info().block_size;
  const auto longer = [&](const View::Layer& layer) {
    return layer.image->size(layer.snapshot) > size;
  };
  if (size == 0 || unit == 0 || size % unit == 0) return {};
  if (std::none_of(view.layers().begin() + 1, view.layers().end(), longer)) return {};
  const Range last{size - 1, 1};
  const View::Mapped mapped = TRY(view.map(last));
  if (mapped.depth == 0 && mapped.extent.kind != Extent::Kind::absent) return {};
  std::byte value{};
  TRY(view.read(last.offset, MutableBytes(&value, 1)));
  TRY(container.writer()->write(last.offset, Bytes(&value, 1)));
  return container.writer()->close();
}

}  // namespace

std::optional<SizeChange> parse_size_change(std::string_view text) {
  SizeChange change;
  if (text.starts_with('+')) change.kind = SizeChange::Kind::by_more;
  if (text.starts_with('-')) change.kind = SizeChange::Kind::by_less;
  if (change.kind != SizeChange::Kind::to) text.remove_prefix(1);
  const auto bytes = parse_size(text);
  if (!bytes) return std::nullopt;
  change.bytes = *bytes;
  return change;
}

Result<Resized> resize_image(const ResizeArgs& args) {
  const auto container =
      TRY(Container::open(args.path, {.format = args.format,
                                      .references = args.references,
                                      .access = Access::write,
                                      .lock = true,
                                      .writer = {.zeroes = Zeroes::keep, .flush_every_ms = 0}}));
  Image& image = *container->chain().front().image;
  Resized resized{.before = container->live()->size()};
  resized.after = TRY_IN(args.path, new_size(args, resized.before));
  if (resized.after == resized.before) return resized;
  if (resized.after > resized.before) TRY_IN(args.path, own_the_last_block(*container));
  TRY_IN(args.path, image.resize(resized.after));
  return resized;
}

}  // namespace platter
