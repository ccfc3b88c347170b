// Extent: where some guest bytes are. The one currency between formats, views, FUSE replies and
// tools.
#pragma once

#include "lib/base/range.h"
#include "lib/crypto/cipher.h"
#include "lib/io/file.h"

namespace platter {

// Turns a stored (compressed) unit into guest bytes. Pure: any thread, no file.
class Codec {
 public:
  virtual ~Codec() = default;
  // unit is filled whole, or Errc::corrupt. stored may have bytes behind the stream's end.
  virtual Result<void> decode(Bytes stored, MutableBytes unit) const = 0;
};

struct Extent {
  enum class Kind : unsigned char {
    absent,   // not in this image: ask the parent, or zeroes if there is none
    zero,     // reads as zeroes, whatever the parent says
    data,     // file[host, host + guest.length) are the guest bytes, encrypted if there is a cipher
    encoded,  // codec->decode(file[host, host + stored)) gives the guest bytes of unit
  };

  Range guest;  // never empty
  Kind kind = Kind::absent;
  File* file = nullptr;
  uint64_t host = 0;               // of guest.offset when data, of the stored bytes when encoded
  bool in_place = false;           // data: may be overwritten where it is
  const Cipher* cipher = nullptr;  // data: whole sectors are encrypted, those of the guest's
  uint64_t tweak = 0;              // of the sector that guest.offset is in
  const Codec* codec = nullptr;
  uint32_t stored = 0;  // encoded: bytes to read at host, zero padded at the end of the file
  Range unit;           // encoded: the guest range one decode() gives; contains guest

  // The same extent, cut to the part inside range; the two must overlap.
  Extent clipped(const Range& range) const {
    Extent e = *this;
    e.guest = intersect(guest, range);
    if (kind == Kind::data) e.host += e.guest.offset - guest.offset;
    if (cipher != nullptr) e.tweak += sector_of(e.guest.offset) - sector_of(guest.offset);
    return e;
  }

  // next goes on where this one ends, in the guest and in the host file.
  bool continues_with(const Extent& next) const {
    return kind == next.kind && guest.end() == next.guest.offset && kind != Kind::encoded &&
           (kind != Kind::data || (file == next.file && host + guest.length == next.host &&
                                   cipher == next.cipher && tweak_goes_on(next)));
  }

 private:
  static uint64_t sector_of(uint64_t offset) { return align_down(offset, Cipher::kSector); }
  bool tweak_goes_on(const Extent& next) const {
    return cipher == nullptr ||
           next.tweak - tweak == sector_of(next.guest.offset) - sector_of(guest.offset);
  }
};

}  // namespace platter
