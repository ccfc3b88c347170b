// What a VMDK's descriptor says of the disk beside where it is.
#pragma once

#include "formats/vmdk/descriptor.h"

namespace platter::vmdk {

// Keys: uuid, modification-uuid, parent-uuid, parent-modification-uuid (a UUID or "random"),
// comment (UTF-8, at most 1023 bytes as it is stored), geometry-pchs and geometry-lchs ("C/H/S";
// "0/0/0": not set). All of them or, with an error, none. Image::set_metadata() says the rest.
Result<void> change_metadata(Descriptor& descriptor, const Metadata& values);

// A parent of which nothing is said but where it is and, perhaps, its UUID may have changed: the
// CID it had is not looked at. Image::set_parent() says the rest.
Result<void> change_parent(Descriptor& descriptor, const ParentLink& parent);

// Image::drop_parent().
Result<void> remove_parent(Descriptor& descriptor);

}  // namespace platter::vmdk
