// Paths that lead into an archive of images: "x.ova/disk1.vmdk" is the disk of that name in the
// file x.ova, and "x.ova" the only one that it has.
#pragma once

#include <string>

#include "lib/image/format.h"
#include "lib/io/posix_file.h"

namespace platter {

// What a path names.
struct NamedImage {
  FilePtr file;
  const Format* format = nullptr;  // null: probe
  ArchivePtr archive;              // that the image is in; null: none
  ArchivedDisk disk;               // of the archive
};

// format: of the image, or of the archive it is in; null: probe. An archive is never written:
// Errc::read_only. Errc::invalid: it has several disks, and the path does not say which;
// not_found: none of that name; unsupported: that one cannot be opened.
Result<NamedImage> open_named(const std::string& path, const Format* format, Access access,
                              Links links);

// The archive that a path names as a whole; null: what it names is none, or cannot be opened.
// Errc: as Format::open_archive(), for the file with its name.
Result<ArchivePtr> archive_at(const std::string& path, const Format* format = nullptr,
                              Links links = Links::follow);

// The path of a file in the archive at that path.
std::string path_in(const std::string& archive, const std::string& member);

// Both name one file, or one disk of one archive.
bool name_the_same(const std::string& a, const std::string& b);

}  // namespace platter
