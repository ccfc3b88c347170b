#include "lib/ops/resize.h"

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
  const auto container = TRY(Container::open(args.path, {.format = args.format,
                                                         .references = args.references,
                                                         .access = Access::write,
                                                         .lock = true,
                                                         .writer = {.flush_every_ms = 0},
                                                         .keys = args.keys}));
  Writer& writer = *container->writer();
  const uint64_t before = container->layout().size();
  const uint64_t wanted = TRY_IN(args.path, new_size(args, before));
  TRY_IN(args.path, wanted < before ? writer.shrink(wanted) : writer.grow(wanted));
  return Resized{.before = before, .after = container->layout().size()};
}

}  // namespace platter
