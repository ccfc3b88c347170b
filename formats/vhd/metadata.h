// What `platter set` and `platter rebase --unsafe` change.
#pragma once

#include "formats/vhd/parse.h"
#include "lib/image/image.h"

namespace platter::vhd {

// As Image::set_metadata().
Result<void> set_metadata(File& file, const Parsed& parsed, const Metadata& values);

// As Image::set_parent(). A power cut leaves the old parent's name or the new one's.
Result<void> set_parent(File& file, const Parsed& parsed, const ParentLink& parent);
// As Image::drop_parent(): the disk is a dynamic one then.
Result<void> drop_parent(File& file, const Parsed& parsed);

}  // namespace platter::vhd
