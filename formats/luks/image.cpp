// Every sector of the disk has its place in the file and is overwritten there; one that was never
// written is what its bytes decrypt to, so a hole of the file is no hole of the disk, and zeroes
// are written like anything else. There are no tables: a flush is a sync.
#include <algorithm>

#include <fmt/format.h>

#include "formats/luks/luks_image.h"
#include "lib/base/checked.h"
#include "lib/image/luks_details.h"

namespace platter::luks {

Result<uint64_t> disk_size(uint64_t file_size, uint64_t payload_offset) {
  const uint64_t behind = file_size > payload_offset ? file_size - payload_offset : 0;
  const uint64_t size = align_down(behind, Cipher::kSector);
  if (size != 0) return size;
  return Error(Errc::corrupt, fmt::format("the file ends at {}, before a sector of the payload, "
                                          "which begins at {}",
                                          file_size, payload_offset));
}

LuksImage::LuksImage(FilePtr file, const Range& payload, CipherPtr cipher, ImageInfo info,
                     bool writable)
    : file_(std::move(file)),
      payload_(payload),
      cipher_(std::move(cipher)),
      info_(std::move(info)),
      writable_(writable) {}

Result<Extent> LuksImage::map(const Range& want, SnapshotId /*snapshot*/) const {
  return Extent{.guest = want,
                .kind = Extent::Kind::data,
                .file = file_.get(),
                .host = payload_.offset + want.offset,
                .in_place = writable_,
                .cipher = cipher_.get(),
                .tweak = align_down(want.offset, Cipher::kSector)};
}

std::optional<LuksPlace> LuksImage::luks_header() const {
  return LuksPlace{.file = file_.get(), .range = {0, payload_.end()}};
}

Result<void> LuksImage::begin_writing() {
  if (!writable_) return Image::begin_writing();
  return {};
}

Result<Range> LuksImage::make_zero(const Range& want, File::Zero /*how*/) {
  return Range{want.offset, 0};
}

Result<void> LuksImage::flush(bool wrote_data) {
  return wrote_data ? file_->sync() : Result<void>();
}

Result<void> LuksImage::resize(uint64_t size) {
  if (!writable_) return Image::begin_writing();
  size = align_up(size, Cipher::kSector);
  if (!fits(payload_.offset, size, kMaxOffset)) {
    return Error(Errc::invalid, fmt::format("a disk of {} bytes is too large", size));
  }
  if (size > payload_.length) {
    Result<void> added =
        write_zeroes(*file_, *cipher_, payload_.offset, {payload_.length, size - payload_.length});
    if (!added) {
      // That it did not work is the error to tell of.
      (void)file_->resize(payload_.end());
      return added;
    }
  }
  TRY(file_->resize(payload_.offset + size));
  payload_.length = size;
  return file_->sync();
}

Result<void> LuksImage::check(Repair /*repair*/, CheckReport& report) {
  const LuksHeader header = TRY(parse_luks(*luks_header()));
  report.blocks = 1;
  for (std::string& fault : luks_faults(header)) report.corruption(std::move(fault));
  return {};
}

Result<void> write_zeroes(File& file, const Cipher& cipher, uint64_t payload, Range range) {
  std::vector<std::byte> sectors(std::min(range.length, MiB));
  while (!range.empty()) {
    const MutableBytes part = MutableBytes(sectors).first(std::min(range.length, MiB));
    std::fill(part.begin(), part.end(), std::byte{0});
    TRY(cipher.encrypt(range.offset, part));
    TRY(file.write(payload + range.offset, part));
    range = {range.offset + part.size(), range.length - part.size()};
  }
  return {};
}

}  // namespace platter::luks
