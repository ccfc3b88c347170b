// What a VHDX says of the disk beside where it is, changed.
#pragma once

#include "formats/vhdx/parse.h"

namespace platter::vhdx {

// Keys: uuid (the disk's id, the same in a child), modification-uuid (the data write GUID),
// parent-modification-uuid (a UUID or "random"). All in one change. Image::set_metadata() says the
// rest.
Result<void> set_metadata(const FilePtr& file, const Metadata& values);

// Image::set_parent().
Result<void> set_parent(const FilePtr& file, const ParentLink& parent);

}  // namespace platter::vhdx
