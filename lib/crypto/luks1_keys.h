// Key slots of a LUKS version 1 header, changed where it is.
#pragma once

#include "lib/crypto/luks1.h"

namespace platter {

// What follows is durable when it returns, and needs a file open for writing that nobody else has.
// A crash or an error leaves every slot that was active as it was, or, the one that is removed,
// inactive; a new one opens or is not there.

// The slot that new_passphrase opens from then on: the first that is free. passphrase: one that
// opens a slot, or Errc::no_key. Errc::no_space: all slots are active, or those that are not have
// no room of their own.
struct LuksAddition {
  Bytes passphrase, new_passphrase;
  uint32_t milliseconds = 2000;  // that trying the new one takes
};
Result<size_t> add_luks_key(const LuksPlace& place, const LuksAddition& addition);

// The slot is inactive and its key material overwritten. Errc::invalid: it is not active.
Result<void> remove_luks_key(const LuksPlace& place, size_t slot);

}  // namespace platter
