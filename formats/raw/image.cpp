// A raw image has no tables: a byte is data, or it lies in a hole of the host file and is zero.
// Never absent: a raw disk has no parent to ask.
#include <algorithm>

#include "formats/raw/raw_image.h"

namespace platter::raw {

RawImage::RawImage(std::vector<Part> parts, ImageInfo info)
    : parts_(std::move(parts)), info_(std::move(info)) {}

Result<Extent> RawImage::map(const Range& want, SnapshotId /*snapshot*/) const {
  const auto part = std::upper_bound(parts_.begin(), parts_.end(), want.offset,
                                     [](uint64_t at, const Part& p) { return at < p.guest.end(); });
  const Range inside = intersect(want, part->guest);
  const uint64_t host = inside.offset - part->guest.offset;
  const File::Run run = TRY(part->file->run_at(host));
  // A file that shrank behind us ends before want: what is missing fails when it is read.
  const uint64_t run_end = std::max(run.range.end(), host + 1);
  return Extent{.guest = {inside.offset, std::min(inside.length, run_end - host)},
                .kind = run.data ? Extent::Kind::data : Extent::Kind::zero,
                .file = part->file.get(),
                .host = host};
}

std::vector<FilePtr> RawImage::files() const {
  std::vector<FilePtr> files;
  for (const Part& part : parts_) files.push_back(part.file);
  return files;
}

}  // namespace platter::raw
