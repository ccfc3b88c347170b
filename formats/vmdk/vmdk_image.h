// VmdkImage: a disk put together from the extents that a descriptor names.
#pragma once

#include <memory>
#include <optional>

#include "formats/vmdk/descriptor.h"
#include "formats/vmdk/descriptor_store.h"
#include "formats/vmdk/open_extents.h"

namespace platter::vmdk {

// What an image is made of, as it was opened.
struct Opened {
  // Without: a bare extent of ESX, whose descriptor is not there.
  std::optional<Descriptor> descriptor;
  std::optional<DescriptorStore> store;
  std::vector<Part> parts;
  std::vector<std::string> warnings;
};

// Thread safe.
class VmdkImage final : public Image {
 public:
  VmdkImage(FilePtr file, Opened opened);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId /*snapshot*/) const override { return size_; }
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  std::vector<FilePtr> files() const override;

 private:
  // The part that has this byte of the disk, and its number.
  size_t part_at(uint64_t offset) const;
  // Adds which extent an error is of.
  Error in_extent(size_t index, Error error) const;

  const FilePtr file_;
  Opened opened_;
  uint64_t size_ = 0;
  ImageInfo info_;
};

}  // namespace platter::vmdk
