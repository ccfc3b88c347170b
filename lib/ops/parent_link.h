// How an image that is there names its parent, changed.
#pragma once

#include <string>

#include "lib/container/container.h"

namespace platter {

// The image named, whatever its parent holds: not opened but for what it says of itself. Locks
// nothing: the caller does. Durable when it returns. Errors as of Image::set_parent(), with the
// file's name.
Result<void> name_parent(const std::string& image, const Format& format, const ParentLink& link);
// Image::drop_parent() is the same for one that is open.

// Whether a child with this link is not opened any more once its parent was written.
bool tells_contents(const ParentLink& link);
// The same parent, whatever it holds: for the time in which it is written.
ParentLink whatever_it_holds(const ParentLink& link);

// Errc::invalid or unsupported: images of this format cannot name that parent.
Result<void> expect_can_name(const Format& format, const ParentLink& link);

}  // namespace platter
