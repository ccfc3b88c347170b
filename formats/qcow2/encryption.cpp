#include "formats/qcow2/encryption.h"

#include "lib/crypto/legacy_aes.h"
#include "lib/image/luks_details.h"

namespace platter::qcow2 {

LuksPlace luks_place(const FilePtr& file, const Header& header) {
  return {.file = file.get(), .range = header.luks, .has_payload = false};
}

Result<DataCipher> open_data_cipher(const FilePtr& file, const Header& header, KeySource* keys) {
  switch (header.encryption) {
    case Encryption::none: break;
    case Encryption::aes: return DataCipher{TRY(legacy_aes_cipher(file->name(), keys)), true};
    case Encryption::luks: {
      if (keys == nullptr) return DataCipher{locked_cipher()};
      const LuksPlace place = luks_place(file, header);
      const LuksHeader luks = TRY(parse_luks(place));
      return DataCipher{TRY(luks_cipher(place, luks, keys))};
    }
  }
  return DataCipher{};
}

void describe_encryption(const FilePtr& file, const Header& header, ImageInfo& info) {
  info.encrypted = header.encryption != Encryption::none;
  if (!info.encrypted) return;
  info.details.emplace_back("encryption", header.encryption == Encryption::aes ? "aes" : "luks");
  if (header.encryption == Encryption::aes) {
    info.details.emplace_back("cipher", "aes");
    info.details.emplace_back("cipher_mode", "cbc-plain64");
    info.details.emplace_back("key_bits", uint64_t{128});
    return;
  }
  const Result<LuksHeader> luks = parse_luks(luks_place(file, header));
  if (luks) {
    describe_luks(*luks, info);
  } else {
    info.warnings.push_back(luks.error().message());
  }
}

}  // namespace platter::qcow2
