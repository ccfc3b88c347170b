// The disk is a row of parts; a look-up finds the part, asks its extent, and says what that
// answered in the disk's own offsets.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "formats/vmdk/describe.h"
#include "formats/vmdk/vmdk_image.h"

namespace platter::vmdk {
namespace {

Extent shifted(Extent extent, uint64_t by) {
  extent.guest.offset += by;
  extent.unit.offset += by;
  return extent;
}

}  // namespace

VmdkImage::VmdkImage(FilePtr file, Opened opened, bool writable)
    : file_(std::move(file)),
      writable_(writable),
      opened_(std::move(opened)),
      info_(describe(opened_)) {
  size_ = opened_.descriptor ? opened_.descriptor->disk_size() : opened_.parts.back().guest.end();
}

size_t VmdkImage::part_at(uint64_t offset) const {
  const auto found =
      std::upper_bound(opened_.parts.begin(), opened_.parts.end(), offset,
                       [](uint64_t at, const Part& part) { return at < part.guest.end(); });
  return static_cast<size_t>(found - opened_.parts.begin());
}

Error VmdkImage::in_extent(size_t index, Error error) const {
  if (opened_.parts.size() == 1) return error;
  return std::move(error).within(name_of(*opened_.descriptor, index));
}

Result<Extent> VmdkImage::map(const Range& want, SnapshotId /*snapshot*/) const {
  const size_t index = part_at(want.offset);
  const auto& [guest, extent] = opened_.parts[index];
  const Range inside = intersect(want, guest);
  Result<Extent> found = extent->map({inside.offset - guest.offset, inside.length});
  if (!found) return in_extent(index, std::move(found.error()));
  return shifted(*found, guest.offset);
}

std::vector<FilePtr> VmdkImage::files() const {
  std::vector<FilePtr> files{file_};
  std::set<const File*> seen{file_.get()};
  for (const Part& part : opened_.parts) {
    FilePtr file = part.extent->file();
    if (file && seen.insert(file.get()).second) files.push_back(std::move(file));
  }
  return files;
}

}  // namespace platter::vmdk
