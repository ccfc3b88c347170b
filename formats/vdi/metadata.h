// What a VDI's header says of the disk beside where it is.
#pragma once

#include "formats/vdi/parse.h"

namespace platter::vdi {

// Keys: uuid, modification-uuid, parent-uuid, parent-modification-uuid (a UUID or "random"),
// comment (at most 255 bytes of UTF-8), geometry-lchs ("C/H/S"; "0/0/0": not set). One write of one
// sector. Image::set_metadata() says the rest.
Result<void> set_metadata(File& file, const Parsed& header, const Metadata& values);

// Another parent, by its ids. Errc::unsupported: the image has none; invalid: that one has no UUID.
Result<void> set_parent(File& file, const Parsed& header, const ParentLink& parent);
// None: a differencing image becomes a dynamic one. Of an image of version 1.
Result<void> drop_parent(File& file);

}  // namespace platter::vdi
