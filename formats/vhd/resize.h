// Disks of another size.
#pragma once

#include "formats/vhd/parse.h"

namespace platter::vhd {

// As Image::resize(). parsed: what parse() says now.
Result<void> resize_dynamic(File& file, const Parsed& parsed, uint64_t size);
Result<void> resize_fixed(File& file, const Parsed& parsed, uint64_t size);

// Errc::invalid for a disk that no VHD can hold with blocks of this size. size: bytes.
Result<void> check_disk_size(uint64_t size, uint64_t block_size);

}  // namespace platter::vhd
