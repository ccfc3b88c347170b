// DmgImage: an opened disk image of Apple.
#pragma once

#include "formats/dmg/parse.h"
#include "lib/image/image.h"

namespace platter::dmg {

// The codec of compressed chunks of this type; null: they are not compressed, or not known.
const Codec* codec_of(uint32_t type);

// Read-only. Thread safe: immutable.
class DmgImage final : public Image {
 public:
  DmgImage(FilePtr file, Parsed parsed);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId /*snapshot*/) const override { return parsed_.places.disk_size; }
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  Result<void> check(Repair repair, CheckReport& report) override;
  std::vector<FilePtr> files() const override { return {file_}; }

 private:
  Result<Extent> part_of(const Chunk& chunk, const Range& want) const;

  FilePtr file_;
  Parsed parsed_;
  ImageInfo info_;
};

}  // namespace platter::dmg
