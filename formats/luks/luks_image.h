// LuksImage: the guest's sectors, encrypted, behind a LUKS header, to the end of the file.
#pragma once

#include "lib/image/image.h"

namespace platter::luks {

// Bytes of the disk in a file of that size; Errc::corrupt when there is none. The rest of a sector
// at the end does not count.
Result<uint64_t> disk_size(uint64_t file_size, uint64_t payload_offset);

// Thread safe.
class LuksImage final : public Image {
 public:
  // payload: whole sectors of the file.
  LuksImage(FilePtr file, const Range& payload, CipherPtr cipher, ImageInfo info, bool writable);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId /*snapshot*/) const override { return payload_.length; }
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  std::optional<LuksPlace> luks_header() const override;
  std::vector<FilePtr> files() const override { return {file_}; }

  Result<void> begin_writing() override;
  Result<Range> make_zero(const Range& want, File::Zero how) override;
  Result<void> flush(bool wrote_data) override;
  // The file's length is all that says the size: a crash while it grows may leave a size between
  // the two, and anything in what is new.
  Result<void> resize(uint64_t size) override;
  // Of the header; what the disk holds nobody can tell.
  Result<void> check(Repair repair, CheckReport& report) override;

 private:
  const FilePtr file_;
  Range payload_;
  const CipherPtr cipher_;
  const ImageInfo info_;
  const bool writable_;
};

// Sectors of zeroes, encrypted, to all of the disk's range; payload: where the disk begins.
Result<void> write_zeroes(File& file, const Cipher& cipher, uint64_t payload, Range range);

}  // namespace platter::luks
