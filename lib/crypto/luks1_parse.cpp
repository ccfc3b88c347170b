#include <algorithm>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/crypto/luks1.h"
#include "lib/crypto/luks1_layout.h"

namespace platter {
namespace {

constexpr uint64_t kFirstMaterial = 2 * kLuksSector;  // behind the header: it has 592 bytes
constexpr uint32_t kMaxKeyBytes = 512;

Error corrupt(std::string message) { return {Errc::corrupt, "LUKS header: " + std::move(message)}; }

template <size_t N>
Result<std::string> text_of(std::string_view what, const std::array<char, N>& raw) {
  const auto end = std::find(raw.begin(), raw.end(), '\0');
  if (end == raw.end()) return corrupt(fmt::format("its {} has no end", what));
  return std::string(raw.begin(), end);
}

// What makes the slot's area unfit for key material; empty: nothing.
std::string area_fault(const LuksSlot& slot, const LuksHeader& header, uint64_t limit) {
  if (slot.stripes == 0 || slot.stripes > kMaxLuksStripes) {
    return fmt::format("its key is split into {} stripes", slot.stripes);
  }
  if (slot.material.offset < kFirstMaterial) return "its key material lies in the header";
  if (!fits(slot.material.offset, slot.material.length, limit)) {
    return "its key material lies past the end";
  }
  if (header.payload_offset != 0 && slot.material.end() > header.payload_offset) {
    return "its key material overlaps the payload";
  }
  return {};
}

Result<LuksSlot> parse_slot(const RawLuksSlot& raw, size_t index, const LuksHeader& header,
                            uint64_t limit) {
  if (raw.active != kLuksActive && raw.active != kLuksInactive) {
    return corrupt(fmt::format("key slot {} is neither active nor not", index));
  }
  LuksSlot slot{.active = raw.active == kLuksActive,
                .iterations = raw.iterations,
                .salt = raw.salt,
                .stripes = raw.stripes};
  // 32 bits each: no product overflows.
  slot.material = {uint64_t{raw.material_offset} * kLuksSector,
                   align_up(uint64_t{header.key_bytes} * slot.stripes, kLuksSector)};
  slot.problem = area_fault(slot, header, limit);
  if (slot.active && slot.iterations == 0) slot.problem = "has no iterations";
  if (slot.active && !slot.problem.empty()) {
    return corrupt(fmt::format("key slot {}: {}", index, slot.problem));
  }
  return slot;
}

Result<void> check_overlaps(LuksHeader& header) {
  for (size_t i = 0; i < kLuksSlots; ++i) {
    for (size_t k = i + 1; k < kLuksSlots; ++k) {
      LuksSlot& a = header.slots[i];
      LuksSlot& b = header.slots[k];
      if (!a.problem.empty() || !b.problem.empty()) continue;
      if (intersect(a.material, b.material).empty()) continue;
      if (a.active && b.active) return corrupt(fmt::format("key slots {} and {} overlap", i, k));
      (b.active ? a : b).problem =
          fmt::format("its key material overlaps that of slot {}", b.active ? k : i);
    }
  }
  return {};
}

Result<void> check_payload(const RawLuksHeader& raw, const LuksPlace& place, LuksHeader& header) {
  if (!place.has_payload || raw.payload_offset == 0) return {};
  header.payload_offset = uint64_t{raw.payload_offset} * kLuksSector;
  if (header.payload_offset < kFirstMaterial) return corrupt("the payload lies in the header");
  if (header.payload_offset > place.range.length) {
    return corrupt("the payload begins past the end of the file");
  }
  return {};
}

}  // namespace

uint32_t luks_version(Bytes head) {
  constexpr size_t kVersionAt = offsetof(RawLuksHeader, version);
  if (head.size() < kVersionAt + sizeof(be16)) return 0;
  if (std::memcmp(head.data(), kLuksMagic.data(), kLuksMagic.size()) != 0) return 0;
  return load<be16>(head, kVersionAt);
}

Result<LuksHeader> parse_luks(const LuksPlace& place) {
  RawLuksHeader raw{};
  const auto bytes = std::as_writable_bytes(std::span(&raw, 1));
  const size_t wanted = std::min<uint64_t>(bytes.size(), place.range.length);
  const size_t n = TRY(place.file->read_available(place.range.offset, bytes.first(wanted)));
  const uint32_t version = luks_version(bytes.first(n));
  if (version == 0) return Error(Errc::wrong_format, "LUKS header: its magic is missing");
  if (version != 1) {
    return Error(Errc::unsupported,
                 fmt::format("LUKS header: version {} is not supported, only 1 is", version));
  }
  if (n < bytes.size()) return corrupt("truncated");
  LuksHeader header{.cipher_name = TRY(text_of("cipher name", raw.cipher_name)),
                    .cipher_mode = TRY(text_of("cipher mode", raw.cipher_mode)),
                    .hash_spec = TRY(text_of("hash", raw.hash_spec)),
                    .uuid = TRY(text_of("UUID", raw.uuid)),
                    .key_bytes = raw.key_bytes,
                    .digest = raw.digest,
                    .digest_salt = raw.digest_salt,
                    .digest_iterations = raw.digest_iterations};
  if (header.key_bytes == 0 || header.key_bytes > kMaxKeyBytes) {
    return corrupt(fmt::format("a key of {} bytes", header.key_bytes));
  }
  if (header.digest_iterations == 0) return corrupt("its digest has no iterations");
  TRY(check_payload(raw, place, header));
  for (size_t i = 0; i < kLuksSlots; ++i) {
    header.slots[i] = TRY(parse_slot(raw.slots[i], i, header, place.range.length));
  }
  TRY(check_overlaps(header));
  return header;
}

Result<LuksAlgorithms> luks_algorithms(const LuksHeader& header) {
  LuksAlgorithms known;
  known.cipher = TRY_IN("LUKS header", parse_cipher(header.cipher_name, header.cipher_mode));
  const auto hash = find_hash(header.hash_spec);
  if (!hash) {
    return Error(Errc::unsupported,
                 fmt::format("LUKS header: the hash \"{}\" is not supported", header.hash_spec));
  }
  known.hash = *hash;
  if (good_key_size(known.cipher, header.key_bytes)) return known;
  return corrupt(fmt::format("a key of {} bytes does not fit aes-{}", header.key_bytes,
                             known.cipher.mode_text()));
}

}  // namespace platter
