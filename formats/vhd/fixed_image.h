// FixedImage: the disk byte by byte, and a footer behind it.
#pragma once

#include <atomic>

#include "formats/vhd/parse.h"
#include "lib/image/image.h"

namespace platter::vhd {

// Thread safe.
class FixedImage final : public Image {
 public:
  FixedImage(FilePtr file, Parsed parsed, bool writable);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId /*snapshot*/) const override { return parsed_.disk_size; }
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  std::vector<FilePtr> files() const override { return {file_}; }

  Result<void> begin_writing() override;
  Result<Reservation> reserve(const Range& want) override;
  Result<void> publish(const Reservation& /*reservation*/) override { return {}; }
  Result<Range> make_zero(const Range& want, File::Zero how) override;
  Result<void> flush(bool wrote_data) override;
  Result<void> resize(uint64_t size) override;
  Result<void> check(Repair repair, CheckReport& report) override;
  Result<void> set_metadata(const Metadata& values) override;
  Result<void> compact(Progress& progress) override;

 private:
  void take(Parsed parsed);

  const FilePtr file_;
  const bool writable_;

  // As long as nobody resizes the disk.
  Parsed parsed_;
  ImageInfo info_;
  std::atomic<bool> in_doubt_{false};  // nobody knows what a resize came to: it is not changed
};

}  // namespace platter::vhd
