// The word that says whether a slot is active lies in one sector and is written alone: a slot's 48
// bytes may lie across two.
#include "lib/crypto/luks1_keys.h"

#include <algorithm>

#include <fmt/format.h>

#include "lib/crypto/luks1_layout.h"

namespace platter {
namespace {

// An old key must not be read from a disk that keeps what was overwritten last.
constexpr unsigned kOverwrites = 8;

uint64_t place_of(const LuksPlace& place, size_t slot) {
  return place.range.offset + offsetof(RawLuksHeader, slots) + slot * sizeof(RawLuksSlot);
}

Result<void> write_active(const LuksPlace& place, size_t slot, uint32_t word) {
  TRY(place.file->write(place_of(place, slot), as_bytes_of(be32(word))));
  return place.file->sync();
}

struct SlotKey {
  be32 iterations;
  std::array<std::byte, 32> salt;
};
static_assert(sizeof(SlotKey) == 36 && offsetof(RawLuksSlot, iterations) == 4);

Result<void> write_key(const LuksPlace& place, size_t slot, const SlotKey& key) {
  return place.file->write(place_of(place, slot) + offsetof(RawLuksSlot, iterations),
                           as_bytes_of(key));
}

Result<size_t> free_slot(const LuksHeader& header) {
  std::string why;
  for (size_t i = 0; i < kLuksSlots; ++i) {
    const LuksSlot& slot = header.slots[i];
    if (!slot.active && slot.problem.empty()) return i;
    if (!slot.active) why = fmt::format(": key slot {}: {}", i, slot.problem);
  }
  return Error(Errc::no_space, "LUKS header: no key slot is free" + why);
}

}  // namespace

Result<size_t> add_luks_key(const LuksPlace& place, const LuksAddition& addition) {
  const LuksHeader header = TRY(parse_luks(place));
  const LuksAlgorithms algorithms = TRY(luks_algorithms(header));
  const size_t index = TRY(free_slot(header));
  const LuksUnlocked unlocked = TRY(unlock_luks(place, header, addition.passphrase));
  LuksSlot slot = header.slots[index];
  const uint32_t iterations =
      TRY(measure_iterations(algorithms.hash, header.key_bytes, addition.milliseconds));
  const Secret material = TRY(make_luks_material({.algorithms = algorithms,
                                                  .key = unlocked.key.bytes(),
                                                  .passphrase = addition.new_passphrase,
                                                  .iterations = iterations},
                                                 slot));
  TRY(place.file->write(place.range.offset + slot.material.offset, material.bytes()));
  TRY(write_key(place, index, {slot.iterations, slot.salt}));
  TRY(place.file->sync());
  TRY(write_active(place, index, kLuksActive));
  return index;
}

Result<void> remove_luks_key(const LuksPlace& place, size_t slot) {
  const LuksHeader header = TRY(parse_luks(place));
  if (slot >= kLuksSlots || !header.slots[slot].active) {
    return Error(Errc::invalid, fmt::format("key slot {} is not active", slot));
  }
  TRY(write_active(place, slot, kLuksInactive));
  TRY(write_key(place, slot, {}));
  std::vector<std::byte> noise(header.slots[slot].material.length);
  for (unsigned i = 0; i < kOverwrites; ++i) {
    fill_random(noise);
    TRY(place.file->write(place.range.offset + header.slots[slot].material.offset, noise));
    TRY(place.file->sync());
  }
  return {};
}

}  // namespace platter
