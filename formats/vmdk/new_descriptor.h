// The descriptor of a new image.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/image/image.h"

namespace platter::vmdk {

struct NewDescriptor {
  std::string create_type;
  uint64_t size = 0;                 // of the disk, bytes
  std::vector<std::string> extents;  // their lines, without ends
  std::optional<ParentLink> parent;
  std::string adapter_type = "ide", hardware_version = "4", tools_version = "2147483647";
};

// With a new CID and new UUIDs.
std::string text_of(const NewDescriptor& descriptor);

// "RW 2048 FLAT "disk-flat.vmdk" 0"; offset: FLAT has one, others have none.
std::string extent_line(uint64_t sectors, std::string_view type, std::string_view file);

// Eight hexadecimal digits that mean nothing else.
std::string random_content_id();

// Physical, as QEMU computes it, but for what no adapter of IDE can say.
Geometry geometry_of(uint64_t size, std::string_view adapter_type);

}  // namespace platter::vmdk
