// Reading tar archives: what is in one, and where.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/io/file.h"

namespace platter::ova {

struct TarMember {
  std::string name;  // without "./" in front
  Range data;        // in the archive
};

inline constexpr size_t kMaxMembers = 10000;

// Headers of POSIX (ustar, pax) and of GNU tar, from the archive's start. Directories are left out.
// Errc::wrong_format: no tar archive at all; unsupported: sparse members; corrupt: a header that is
// damaged, a link or a device, a name that is absolute, leads upwards or is there twice, a member
// past the end of the file, or more than kMaxMembers. Memory: the names, 20 MiB at most.
Result<std::vector<TarMember>> read_tar(const File& file);

// ending: lower case, ".ovf"; the name may be in any.
bool has_ending(std::string_view name, std::string_view ending);

// The name of the first member, from the first bytes of a file; empty: no archive, or the name is
// further on. Unchecked beyond that.
std::string first_member(Bytes head);

}  // namespace platter::ova
