#include "tests/support/test_keys.h"

#include <algorithm>

#include "lib/crypto/luks1_layout.h"

namespace platter::test {

Result<void> copy_image(const File& template_file, File& to) {
  const uint64_t size = TRY(template_file.stat()).size;
  std::vector<std::byte> bytes;
  for (uint64_t at = 0; at < size;) {
    const File::Run run = TRY(template_file.run_at(at));
    const uint64_t length = run.range.end() - at;
    if (run.data) {
      bytes.resize(length);
      TRY(template_file.read_exact(at, bytes));
      TRY(to.write(at, bytes));
    }
    at += length;
  }
  TRY(to.resize(size));
  return to.sync();
}

// One iteration, and a key in one stripe.
Result<void> make_luks_quick(const LuksPlace& place) {
  const LuksHeader header = TRY(parse_luks(place));
  const LuksAlgorithms known = TRY(luks_algorithms(header));
  const LuksUnlocked unlocked = TRY(unlock_luks(place, header, bytes_of(kPassphrase)));
  auto raw = TRY(place.file->read_struct<RawLuksHeader>(place.range.offset));
  RawLuksSlot& slot = raw.slots[unlocked.slot];
  slot.iterations = 1;
  slot.stripes = 1;
  raw.digest_iterations = 1;
  TRY(pbkdf2(known.hash, unlocked.key.bytes(), raw.digest_salt, 1, raw.digest));
  Secret derived(header.key_bytes);
  TRY(pbkdf2(known.hash, bytes_of(kPassphrase), slot.salt, 1, derived.bytes()));
  std::vector<std::byte> material(Cipher::kSector);
  std::copy(unlocked.key.bytes().begin(), unlocked.key.bytes().end(), material.begin());
  const CipherPtr cipher = TRY(make_cipher(known.cipher, derived.bytes()));
  TRY(cipher->encrypt(0, material));
  TRY(place.file->write(place.range.offset + header.slots[unlocked.slot].material.offset,
                        material));
  return place.file->write(place.range.offset, as_bytes_of(raw));
}

}  // namespace platter::test
