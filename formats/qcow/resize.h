// A disk made larger.
#pragma once

#include "formats/qcow/parse.h"
#include "lib/crypto/cipher.h"

namespace platter::qcow {

// size: of the disk, bytes; rounded up to whole sectors. header: what is in the file now. cipher:
// of an encrypted image, else null. The new part reads as zeroes. An L1 table that needs more
// entries moves to the end of the file; its old place stays unused. On return it is durable; a
// crash leaves the disk with the old size or the new one. Errc::unsupported: smaller, or an image
// with a backing file, which nothing could hide; corrupt: the tables have faults; invalid: no qcow
// can be that large; no_key: what lies behind the old end cannot be encrypted.
Result<void> resize(File& file, const Header& header, const Cipher* cipher, uint64_t size);

}  // namespace platter::qcow
