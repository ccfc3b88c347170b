// check: the checksums of an image, over everything that is in it.
#pragma once

#include "formats/dmg/parse.h"
#include "lib/image/check.h"

namespace platter::dmg {

// Reads the whole data fork and decodes every chunk: what cannot be decoded, and what has another
// checksum than the image says, is a corruption. Checksums of other kinds than CRC-32 are not
// looked at. Memory: a chunk, and what is stored of it.
Result<void> check_image(const File& file, const Places& places, CheckReport& report);

}  // namespace platter::dmg
