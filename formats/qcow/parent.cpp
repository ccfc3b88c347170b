// Another backing file: its name goes behind everything, since a shorter place may be torn, and
// then one write of a part of the first sector points at it. Or none: the same write, of zeroes.
#include <fmt/format.h>

#include "formats/qcow/qcow_image.h"

namespace platter::qcow {
namespace {

struct NamePlace {
  be64 offset;
  be32 length;
  be32 mtime;
};
static_assert(offsetof(RawHeader, backing_file_offset) + sizeof(NamePlace) ==
              offsetof(RawHeader, size));

}  // namespace

Result<void> QcowImage::set_parent(const ParentLink& parent) {
  TRY(expect_writable());
  const std::string& name = parent.reference;
  if (header_.backing_file.empty()) {
    return Error(Errc::unsupported, "it has no parent that another one could replace");
  }
  if (name.size() > kMaxBackingName) {
    return Error(Errc::invalid,
                 fmt::format("the parent's name has {} bytes: at most {} are possible", name.size(),
                             kMaxBackingName));
  }
  const uint64_t at = align_up(TRY(file_->stat()).size, header_.cluster_size());
  TRY(file_->write(at, std::as_bytes(std::span(name))));
  TRY(file_->sync());
  const NamePlace place{at, static_cast<uint32_t>(name.size()), 0};
  TRY(file_->write(offsetof(RawHeader, backing_file_offset), as_bytes_of(place)));
  return file_->sync();
}

Result<void> QcowImage::drop_parent() {
  TRY(expect_writable());
  if (header_.backing_file.empty()) return Image::drop_parent();
  TRY(file_->write(offsetof(RawHeader, backing_file_offset), as_bytes_of(NamePlace{})));
  return file_->sync();
}

}  // namespace platter::qcow
