// A qcow2 image whose clusters lie side by side at the start of its file.
#pragma once

#include "formats/qcow2/encryption.h"
#include "lib/base/progress.h"

namespace platter::qcow2 {

// By the rules of Image::compact(). Leaks are mended first. cipher: of the image's data, which is
// encrypted anew where it moves, if it is known by its place in the file. Errc::corrupt, with
// nothing changed: the image has faults other than leaks, or a table shares its clusters; no_key:
// the cipher has none and is needed. Memory: that of a check, 64 MiB.
Result<void> compact_image(File& file, const DataCipher& cipher, Progress& progress);

}  // namespace platter::qcow2
