// A raw image has no tables: a byte is data, or it lies in a hole of the host file and is zero.
// Never absent: a raw disk has no parent to ask. Data is overwritten where it is; a write into a
// hole "reserves" the very place it has anyway, so there is nothing to publish and nothing to
// order: a flush is a sync of the parts.
#include <algorithm>

#include <fmt/format.h>

#include "formats/raw/raw_image.h"

namespace platter::raw {

RawImage::RawImage(std::vector<Part> parts, ImageInfo info, bool writable)
    : parts_(std::move(parts)), info_(std::move(info)), writable_(writable) {}

const RawImage::Part& RawImage::part_at(uint64_t offset) const {
  return *std::upper_bound(parts_.begin(), parts_.end(), offset,
                           [](uint64_t at, const Part& p) { return at < p.guest.end(); });
}

Result<Extent> RawImage::map(const Range& want, SnapshotId /*snapshot*/) const {
  const Part& part = part_at(want.offset);
  const Range inside = intersect(want, part.guest);
  const uint64_t host = inside.offset - part.guest.offset;
  const File::Run run = TRY(part.file->run_at(host));
  // A file that shrank behind us ends before want: what is missing fails when it is read.
  const uint64_t run_end = std::max(run.range.end(), host + 1);
  return Extent{.guest = {inside.offset, std::min(inside.length, run_end - host)},
                .kind = run.data ? Extent::Kind::data : Extent::Kind::zero,
                .file = part.file.get(),
                .host = host,
                .in_place = writable_};
}

std::vector<FilePtr> RawImage::files() const {
  std::vector<FilePtr> files;
  for (const Part& part : parts_) files.push_back(part.file);
  return files;
}

Result<void> RawImage::begin_writing() {
  if (!writable_) return Image::begin_writing();
  return {};
}

Result<Reservation> RawImage::reserve(const Range& want) {
  const Part& part = part_at(want.offset);
  const Range inside = intersect(want, part.guest);
  return Reservation{
      .covers = inside, .file = part.file.get(), .host = inside.offset - part.guest.offset};
}

Result<void> RawImage::publish(const Reservation& /*reservation*/) { return {}; }

Result<Range> RawImage::make_zero(const Range& want, File::Zero how) {
  const Part& part = part_at(want.offset);
  const Range inside = intersect(want, part.guest);
  const Range host{inside.offset - part.guest.offset, inside.length};
  if (TRY(part.file->make_zero(host, how))) return inside;
  return Range{want.offset, 0};
}

Result<void> RawImage::flush(bool wrote_data) {
  if (!wrote_data) return {};
  for (const Part& part : parts_) TRY(part.file->sync());
  return {};
}

// Only the last part of a set changes: the others are as long as whoever split the disk wanted.
Result<void> RawImage::resize(uint64_t size) {
  if (!writable_) return Image::begin_writing();
  Part& last = parts_.back();
  if (parts_.size() > 1 && size <= last.guest.offset) {
    return Error(Errc::unsupported,
                 fmt::format("a split image is cut in its last part only, which begins at {}",
                             last.guest.offset));
  }
  TRY(last.file->resize(size - last.guest.offset));
  last.guest.length = size - last.guest.offset;
  return last.file->sync();
}

// Its files are as long as the disk; zeroes in them have become holes before this.
Result<void> RawImage::compact(Progress& /*progress*/) {
  if (!writable_) return Image::begin_writing();
  return flush(true);
}

}  // namespace platter::raw
