#include "lib/ops/keys.h"

#include <algorithm>

#include "lib/container/container.h"
#include "lib/crypto/luks1_keys.h"

namespace platter {
namespace {

struct Opened {
  std::unique_ptr<Container> container;
  LuksPlace place;
};

Result<Opened> open_keyed(const KeyArgs& args, Access access) {
  Opened opened{.container = TRY(Container::open(args.path, {.format = args.format,
                                                             .parents = false,
                                                             .access = access,
                                                             .lock = access == Access::write,
                                                             .writer = {.flush_every_ms = 0}}))};
  const auto place = opened.container->chain().front().image->luks_header();
  if (place) {
    opened.place = *place;
    return opened;
  }
  const bool encrypted = opened.container->info().encrypted;
  return Error(Errc::unsupported, args.path + (encrypted ? ": its encryption has no key slots"
                                                         : ": is not encrypted"));
}

}  // namespace

Result<LuksHeader> list_keys(const KeyArgs& args) {
  const Opened opened = TRY(open_keyed(args, Access::read));
  return TRY_IN(args.path, parse_luks(opened.place));
}

Result<size_t> add_key(const KeyArgs& args, KeySource& existing, KeySource& fresh,
                       uint32_t milliseconds) {
  const Opened opened = TRY(open_keyed(args, Access::write));
  const Bytes passphrase = TRY_IN(args.path, existing.passphrase(args.path));
  // Before a new one is thought of.
  const LuksHeader header = TRY_IN(args.path, parse_luks(opened.place));
  (void)TRY_IN(args.path, unlock_luks(opened.place, header, passphrase));
  const Bytes new_passphrase = TRY_IN(args.path, fresh.passphrase(args.path));
  return TRY_IN(args.path, add_luks_key(opened.place, {.passphrase = passphrase,
                                                       .new_passphrase = new_passphrase,
                                                       .milliseconds = milliseconds}));
}

Result<size_t> remove_key(const KeyArgs& args, KeySource& existing, const KeyRemoval& removal) {
  const Opened opened = TRY(open_keyed(args, Access::write));
  const LuksHeader header = TRY_IN(args.path, parse_luks(opened.place));
  std::optional<size_t> slot = removal.slot;
  if (!slot) {
    const Bytes passphrase = TRY_IN(args.path, existing.passphrase(args.path));
    slot = TRY_IN(args.path, unlock_luks(opened.place, header, passphrase)).slot;
  }
  const bool is_active = *slot < kLuksSlots && header.slots[*slot].active;
  if (is_active && std::ranges::count(header.slots, true, &LuksSlot::active) == 1 &&
      !removal.force) {
    return Error(Errc::invalid, args.path +
                                    ": it is the last key: without it nothing opens the "
                                    "image ever again (--force removes it)");
  }
  TRY_IN(args.path, remove_luks_key(opened.place, *slot));
  return *slot;
}

}  // namespace platter
