// An image made one of the other version, and its options changed.
#pragma once

#include <array>
#include <optional>

#include "formats/qcow2/parse.h"
#include "lib/image/format.h"

namespace platter::qcow2 {

// By the names qemu-img gives them.
inline constexpr std::array<OptionSpec, 3> kAmendOptions = {{
    {"compat", "version of the format: 0.10 (version 2) or 1.1 (version 3)", ""},
    {"lazy_refcounts", "allow refcounts to be written late (on, off); needs compat=1.1", ""},
    {"refcount_bits", "width of a refcount; only the one it has", ""},
}};

struct Amendment {
  uint32_t version = 0;
  bool lazy_refcounts = false;
};

// What the image with this header shall be. Errc::invalid: no such option or value, or some that
// exclude one another; unsupported: another width of refcounts.
Result<Amendment> parse_amendment(const Metadata& options, const Header& header);

// Whether all the image is can be said in that version, but for zero clusters of the disk itself.
// Errc::unsupported: it cannot; corrupt: an entry of version 2 has a flag of version 3. Looks at
// all L2 tables, as a check does.
Result<void> check_amendment(File& file, const Header& header, const Amendment& wanted);

// Writes the header of an image that can be that: first what of it lies behind the first sector,
// then that sector, which a crash leaves old or new. Durable when it returns. Errc::unsupported:
// the header has no room for what stands in it.
Result<void> write_amended_header(File& file, const Header& header, const Amendment& wanted);

}  // namespace platter::qcow2
