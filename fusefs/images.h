// Which images a mount shows, and by which names.
#pragma once

#include <vector>

#include "fusefs/gallery.h"
#include "fusefs/options.h"

namespace platter::fusefs {

// The mount has a directory for each of the images: several were named, or a directory or an
// archive of them was.
bool shows_several(const MountOptions& options);

// Those named, and of a directory named the regular files that a probe claims, or whose names say
// that they are raw; not what is a part of another of them, and not hidden ones. Of an archive the
// disks in it, after the names of their members, and that of the archive where there are other
// images, too. In a mount that
// may write, what another one names as its parent may not be written. Reads headers; takes no lock.
// Errc::invalid: options that are for one image only, or no image is there.
Result<std::vector<ImageFile>> list_images(const MountOptions& options);

// The directory that the file is in.
Result<std::shared_ptr<const Descriptor>> open_home(const std::string& file);

// The one image of a mount that has no others; without its home, which an overlay may have moved.
ImageFile only_image(const MountOptions& options);

}  // namespace platter::fusefs
