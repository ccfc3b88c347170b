// The trailer of a disk image: where everything else is.
#pragma once

#include <optional>

#include "formats/dmg/layout.h"
#include "lib/image/format.h"

namespace platter::dmg {

// How the whole file is encrypted, if it is: what to say of it. Empty: it is not.
std::string_view encryption_of(Bytes head, Bytes tail);

// Where a trailer begins: at the end of the file, up to 511 bytes before it, or at its start.
// head, tail: of a file of size bytes, the latter its last KiB. Empty: there is none.
std::optional<uint64_t> find_trailer(Bytes head, Bytes tail, uint64_t size);

// What of the trailer is used. Holds: the ranges lie inside the file; disk_size fits in a file.
struct Places {
  uint64_t disk_size = 0;  // bytes, whole sectors
  Range data_fork;
  Range xml;            // empty: none
  Range resource_fork;  // empty: none
  StoredChecksum data_fork_checksum, master_checksum;
  uint32_t flags = 0, variant = 0;
};

// Errc::wrong_format: there is no trailer; unsupported: encrypted, one of several files, or another
// version; corrupt: what it says cannot be.
Result<Places> parse_trailer(const File& file);

}  // namespace platter::dmg
