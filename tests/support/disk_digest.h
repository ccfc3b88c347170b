// Digests of a whole disk, in the two forms in which expected ones are written down.
#pragma once

#include <string>

#include "lib/container/view.h"

namespace platter::test {

// Of every byte.
Result<std::string> sha256_of_disk(const View& view);

// "nz64k:D", D over the lines "%x %s\n" of offset and digest of each 64 KiB chunk that is not all
// zero: made from the extents, holes are never read.
Result<std::string> sparse_digest_of_disk(const View& view);

// The same of a raw file, its holes by SEEK_DATA: for a disk that is mounted.
std::string sha256_of_disk_file(const std::string& path);
std::string sparse_digest_of_disk_file(const std::string& path);

}  // namespace platter::test
