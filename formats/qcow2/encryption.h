// How the guest's data of an image is encrypted. Tables, and compressed clusters, never are.
#pragma once

#include "formats/qcow2/parse.h"
#include "lib/image/image.h"

namespace platter::qcow2 {

struct DataCipher {
  CipherPtr cipher;       // null: nothing is encrypted
  bool by_guest = false;  // a sector is known by its place in the disk, not by that in the file

  // host: of the guest byte in the file that has it.
  uint64_t tweak(uint64_t guest, uint64_t host) const {
    return align_down(by_guest ? guest : host, Cipher::kSector);
  }
};

// header.encryption is luks.
LuksPlace luks_place(const FilePtr& file, const Header& header);

// keys null: a cipher that says that there is no key.
Result<DataCipher> open_data_cipher(const FilePtr& file, const Header& header, KeySource* keys);

// Adds what is said of the encryption; a LUKS header that cannot be read is a warning.
void describe_encryption(const FilePtr& file, const Header& header, ImageInfo& info);

}  // namespace platter::qcow2
