// The media registry of a VirtualBox machine: its .vbox file says where each disk of a chain is,
// by the disk's id. Only ever read.
#pragma once

#include <optional>
#include <string>

#include "lib/base/uuid.h"
#include "lib/io/file.h"

namespace platter {

// As stored, from outside: a name to be opened under the rules for every name an image has.
struct RegisteredDisk {
  std::string location;  // relative to the directory of the .vbox, or absolute
  std::string format;    // "VDI", "VMDK" …
};

// What the .vbox says of the disk with that id; empty: nothing. Errc::corrupt: it is no such
// document, or one beyond the bounds of XmlDocument.
Result<std::optional<RegisteredDisk>> find_registered(const File& vbox, const Uuid& id);

}  // namespace platter
