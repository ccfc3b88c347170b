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
  RawImage(std::vector<Part> parts, ImageInfo info, bool writable);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId /*snapshot*/) const override { return parts_.back().guest.end(); }
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  std::vector<FilePtr> files() const override;

  Result<void> begin_writing() override;
  Result<Reservation> reserve(const Range& want) override;
  Result<void> publish(const Reservation& reservation) override;
  Result<Range> make_zero(const Range& want, File::Zero how) override;
  Result<void> flush(bool wrote_data) override;
  Result<void> resize(uint64_t size) override;
  Result<void> compact(Progress& progress) override;

 private:
  const Part& part_at(uint64_t offset) const;

  std::vector<Part> parts_;
  ImageInfo info_;
  bool writable_;
};

}  // namespace platter::raw
