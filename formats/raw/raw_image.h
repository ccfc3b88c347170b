// RawImage: guest byte n is byte n of the file, or of the parts of a split set laid end to end.
#pragma once

#include "lib/image/image.h"

namespace platter::raw {

// Thread safe.
class RawImage final : public Image {
 public:
  struct Part {
    Range guest;
    FilePtr file;
  };
  // parts: at least one, in order, without gaps; none but the last empty.
  RawImage(std::vector<Part> parts, ImageInfo info);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId /*snapshot*/) const override { return parts_.back().guest.end(); }
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  std::vector<FilePtr> files() const override;

 private:
  std::vector<Part> parts_;
  ImageInfo info_;
};

}  // namespace platter::raw
