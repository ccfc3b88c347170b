// The parent locator of a differencing VHDX [2.6.2.6].
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "formats/vhdx/layout.h"
#include "lib/image/image.h"

namespace platter::vhdx {

// Keys and values as they are stored, in UTF-8, no key twice.
using Locator = std::vector<std::pair<std::string, std::string>>;

// item: at most kMaxItemLength bytes. Errc::corrupt for what does not lie in it or is no UTF-16;
// unsupported for another type of locator.
Result<Locator> parse_locator(Bytes item);

// Errc::invalid: a value has too many bytes, or is no UTF-8.
Result<std::vector<std::byte>> encode_locator(const Locator& locator);

// What it says of the parent. Windows' paths are made relative to the child's directory; of those
// that begin at a root only the last component is left.
ParentLink link_of(const Locator& locator);

// The locator with another parent; keys nobody knows stay. A parent of which nothing is said but
// where it is may have changed: the locator has no linkage then. Errc::invalid: a VHDX cannot say
// it.
Result<Locator> with_parent(const Locator& locator, const ParentLink& parent);

// As parent_linkage has it.
std::string linkage(const Uuid& data_write);

}  // namespace platter::vhdx
