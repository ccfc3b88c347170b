// From the lines of a descriptor to the extents they name.
#pragma once

#include <memory>
#include <vector>

#include "formats/vmdk/descriptor.h"
#include "formats/vmdk/disk_extent.h"
#include "formats/vmdk/sparse_header.h"
#include "lib/image/format.h"

namespace platter::vmdk {

// An extent and the part of the disk that it is.
struct Part {
  Range guest;  // bytes of the disk
  std::unique_ptr<DiskExtent> extent;
};

// Of a descriptor in a file of its own. Names are hints: of those that one can mean the first that
// is there counts. Errc::not_found: a file is missing (the message names it); unsupported: a kind
// of extent that is not read; corrupt: an extent is not what its line says. Messages name the
// extent.
Result<std::vector<Part>> open_extents(const OpenRequest& request, const Descriptor& descriptor);

// Of one that is embedded in its only extent, whatever name that has in it.
Result<std::vector<Part>> open_embedded(const OpenRequest& request, const Descriptor& descriptor,
                                        const SparseHeader& header);

// "extent 3 ("disk-s003.vmdk")", for messages.
std::string name_of(const Descriptor& descriptor, size_t index);

}  // namespace platter::vmdk
