// Keys of an encrypted image: LUKS key slots.
#pragma once

#include "lib/container/chain.h"

namespace platter {

struct KeyArgs {
  std::string path;
  std::string format;  // empty: probe
};

// Errors name the file. Errc::unsupported: the image has no LUKS header.
Result<LuksHeader> list_keys(const KeyArgs& args);

// The slot that fresh opens from then on. existing: gives a passphrase that opens one now.
Result<size_t> add_key(const KeyArgs& args, KeySource& existing, KeySource& fresh,
                       uint32_t milliseconds);

// slot: empty: the one that the passphrase of existing opens. force: also the last active one;
// nothing opens the image then.
struct KeyRemoval {
  std::optional<size_t> slot;
  bool force = false;
};
Result<size_t> remove_key(const KeyArgs& args, KeySource& existing, const KeyRemoval& removal);

}  // namespace platter
