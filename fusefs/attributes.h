// What stat, statfs and getxattr say of the nodes.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <optional>
#include <string>

#include "fusefs/gallery.h"

namespace platter::fusefs {

// Of a file or directory shown for an image whose file is that.
struct stat stat_of(const ServedBy& by, const FileStat& image, const Node& node, bool writable);

// Errc::not_found when the node is a partition the disk does not have.
Result<struct stat> stat_of(const Served& served, const Node& node);

// The bytes of the disk a node shows: all of it, or a partition's. Node is one of those two.
Result<Range> window_of(const Served& served, const Node& node);

// Null: the bytes the node shows are only read, or it shows none.
Writer* writer_of(const Served& served, const Node& node);

// The directory is snapshots/, and snapshots can be made in it.
bool can_change_names(const Served& served, const Node& directory);

// The host filesystem's that holds the image.
Result<struct statvfs> statvfs_of(const ImageFile& image);

// Names, each with a zero byte behind it, as listxattr gives them.
std::string xattr_names(const Served& served, const Node& node);
// Empty: there is no such attribute.
std::optional<std::string> xattr(const Served& served, const Node& node, std::string_view name);

}  // namespace platter::fusefs
