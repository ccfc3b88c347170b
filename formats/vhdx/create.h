// A new VHDX, written front to back.
#pragma once

#include <array>

#include "lib/image/format.h"

namespace platter::vhdx {

inline constexpr std::array<OptionSpec, 5> kCreateOptions = {
    {{"fixed", "give every block its place at once (on, off)", "off"},
     {"block_size", "bytes a block, 1M to 256M; auto: 8M to 64M, the more the larger the disk",
      "auto"},
     {"log_size", "bytes of the log, in units of 1M", "1M"},
     {"logical_sector_size", "bytes a sector of the disk (512, 4096)", "512"},
     {"block_state_zero", "say of blocks without data that they are zeroes (on, off)", "on"}}};

// Errc::invalid for a size of 0 or above 64 TiB, an option nobody can have, or a parent that is no
// VHDX or cannot be named.
Result<ImageWriterPtr> create_vhdx(const CreateRequest& request);

}  // namespace platter::vhdx
