// Image: one opened container file. It knows where its own bytes are and nothing about its
// parent's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "lib/base/uuid.h"
#include "lib/image/extent.h"

namespace platter {

using SnapshotId = uint64_t;  // stable while the image is open; 0 is the live state

struct SnapshotInfo {
  SnapshotId id = 0;
  std::string format_id;   // what the format calls it; qcow2: a decimal counter
  std::string name;        // as stored: any bytes
  uint64_t size = 0;       // of the disk, bytes
  uint64_t vm_state = 0;   // bytes
  int64_t created_ns = 0;  // since 1970, UTC
};

// How an image names its parent: by a file name, or (VDI) by ids only.
struct ParentLink {
  std::string reference;  // as stored; empty: only the ids are known
  std::string format;     // as stored; empty: probe
  std::optional<Uuid> uuid;
  std::optional<Uuid> modification_uuid;  // the parent's when the child was made
};

struct Geometry {
  uint32_t cylinders = 0, heads = 0, sectors = 0;
};

// A fact only one format has, for `info`: {"compat", "1.1"}.
using Detail = std::pair<std::string, std::variant<std::string, uint64_t, bool>>;

struct ImageInfo {
  std::string format;       // as `platter formats` lists it
  std::string variant;      // "dynamic", "static", "v3" …
  uint64_t block_size = 0;  // the allocation unit, bytes; 0 where there is none
  std::optional<Uuid> uuid, modification_uuid;
  std::optional<ParentLink> parent;
  std::optional<Geometry> pchs, lchs;
  std::string comment;
  bool dirty = false;
  bool corrupt = false;
  std::vector<Detail> details;
  std::vector<std::string> warnings;  // what the opener put up with; without the file's name
};

// Thread safety: every method may run at any time.
class Image {
 public:
  virtual ~Image() = default;

  virtual const ImageInfo& info() const = 0;
  // Bytes. A snapshot may be smaller or larger than the disk.
  virtual uint64_t size(SnapshotId snapshot = 0) const = 0;

  // The extent that holds want.offset; it begins at or before it and may be longer than want.
  // want lies inside size(snapshot) and is not empty. No I/O beyond the tables that say so for
  // want.offset; an extent may end early where the next table would have to be read, and
  // neighbours may be of the same kind. Data extents are clipped to the bytes their file has: what
  // lies past its end is a zero extent.
  virtual Result<Extent> map(const Range& want, SnapshotId snapshot = 0) const = 0;

  // Internal snapshots, in the order of the image's own table.
  virtual std::vector<SnapshotInfo> snapshots() const { return {}; }

  // Every host file the image is made of, the one that was opened first; parents are not among
  // them.
  virtual std::vector<FilePtr> files() const = 0;
};
using ImagePtr = std::unique_ptr<Image>;

}  // namespace platter
