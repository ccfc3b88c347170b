// Which images others are built on: who writes to one of those spoils the others.
#pragma once

#include <sys/types.h>

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/uuid.h"
#include "lib/container/container.h"

namespace platter::fusefs {

using FileId = std::pair<dev_t, ino_t>;

// What an image says of itself and of others.
struct Described {
  std::string path;
  FileId id;
  std::optional<Uuid> uuid, modification_uuid;
  std::optional<ParentLink> parent;
  std::vector<std::string> parts;  // the other files it is made of, as it names them
};

// format: empty: probe. Empty: no regular file. One that cannot be asked has an id only.
std::optional<Described> describe(const std::string& path, const std::string& format, Links links);

// The files that images have as parents, or parents of parents: the images of the directories, also
// hidden ones and those in a directory Snapshots there, and the files named. Opens each of them for
// a moment, and takes no lock.
std::set<FileId> built_on(const std::set<std::string>& directories,
                          const std::vector<std::string>& files, const std::string& format);

// The file is among them, as far as its own directory tells. For a program that serves a mount: no
// name is followed that might lead there, where it would wait for itself.
bool is_built_on(const std::string& file, const std::string& format, Links links);

}  // namespace platter::fusefs
