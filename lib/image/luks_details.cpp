#include "lib/image/luks_details.h"

#include <algorithm>

#include <fmt/format.h>

namespace platter {

void describe_luks(const LuksHeader& header, ImageInfo& info) {
  auto& details = info.details;
  details.emplace_back("luks_version", uint64_t{1});
  details.emplace_back("cipher", header.cipher_name);
  details.emplace_back("cipher_mode", header.cipher_mode);
  details.emplace_back("hash", header.hash_spec);
  details.emplace_back("key_bits", uint64_t{header.key_bytes} * 8);
  details.emplace_back("luks_uuid", header.uuid);
  details.emplace_back("digest_iterations", uint64_t{header.digest_iterations});
  for (size_t i = 0; i < kLuksSlots; ++i) {
    const LuksSlot& slot = header.slots[i];
    std::string text =
        fmt::format("{}, material at {}, {} stripes", slot.active ? "active" : "inactive",
                    slot.material.offset, slot.stripes);
    if (slot.active) text += fmt::format(", {} iterations", slot.iterations);
    details.emplace_back(fmt::format("key_slot_{}", i), std::move(text));
  }
  for (std::string& fault : luks_faults(header)) info.warnings.push_back(std::move(fault));
}

std::vector<std::string> luks_faults(const LuksHeader& header) {
  std::vector<std::string> faults;
  for (size_t i = 0; i < kLuksSlots; ++i) {
    if (header.slots[i].problem.empty()) continue;
    faults.push_back(fmt::format("LUKS header: key slot {}: {}", i, header.slots[i].problem));
  }
  if (std::ranges::none_of(header.slots, &LuksSlot::active)) {
    faults.emplace_back("LUKS header: no key slot is active: no key opens it");
  }
  return faults;
}

}  // namespace platter
