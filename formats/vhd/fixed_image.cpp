// A byte is data, or it lies in a hole of the host file and is zero; both have their places. So
// there is nothing to publish and nothing to order: a flush is a sync.
#include "formats/vhd/fixed_image.h"

#include <algorithm>

#include "formats/vhd/check.h"
#include "formats/vhd/describe.h"
#include "formats/vhd/metadata.h"
#include "formats/vhd/resize.h"

namespace platter::vhd {

FixedImage::FixedImage(FilePtr file, Parsed parsed, bool writable)
    : file_(std::move(file)), writable_(writable) {
  take(std::move(parsed));
}

void FixedImage::take(Parsed parsed) {
  parsed_ = std::move(parsed);
  info_ = describe(parsed_, std::nullopt);
}

Result<Extent> FixedImage::map(const Range& want, SnapshotId /*snapshot*/) const {
  const uint64_t there = std::min(parsed_.disk_size, parsed_.data_end);
  if (want.offset >= there) {
    return Extent{.guest = {there, parsed_.disk_size - there}, .kind = Extent::Kind::zero};
  }
  const File::Run run = TRY(file_->run_at(want.offset));
  // A file that shrank behind us ends before want: what is missing fails when it is read.
  const uint64_t run_end = std::max(run.range.end(), want.offset + 1);
  return Extent{.guest = {want.offset, std::min(run_end, there) - want.offset},
                .kind = run.data ? Extent::Kind::data : Extent::Kind::zero,
                .file = file_.get(),
                .host = want.offset,
                .in_place = writable_};
}

Result<void> FixedImage::begin_writing() {
  if (!writable_ || in_doubt_) return Image::begin_writing();
  if (parsed_.data_end >= parsed_.disk_size) return {};
  return Error(Errc::corrupt, "truncated: the file does not hold the whole disk: only read");
}

Result<Reservation> FixedImage::reserve(const Range& want) {
  return Reservation{.covers = want, .file = file_.get(), .host = want.offset};
}

Result<Range> FixedImage::make_zero(const Range& want, File::Zero how) {
  return Range{want.offset, TRY(file_->make_zero(want, how)) ? want.length : 0};
}

Result<void> FixedImage::flush(bool wrote_data) {
  return wrote_data ? file_->sync() : Result<void>();
}

Result<void> FixedImage::resize(uint64_t size) {
  TRY(begin_writing());
  Result<void> done = resize_fixed(*file_, parsed_, size);
  Result<Parsed> now = parse(*file_);
  if (now) {
    take(*std::move(now));
    return done;
  }
  in_doubt_ = true;
  return done ? std::move(now.error()) : std::move(done.error());
}

Result<void> FixedImage::check(Repair how, CheckReport& report) {
  if (how != Repair::none && !writable_) return Image::begin_writing();
  return check_fixed(*file_, parsed_, how, report);
}

Result<void> FixedImage::set_metadata(const Metadata& values) {
  TRY(begin_writing());
  return vhd::set_metadata(*file_, parsed_, values);
}

Result<void> FixedImage::compact(Progress& /*progress*/) {
  return Error(Errc::unsupported,
               "a fixed VHD keeps a place for every byte: there is nothing to give back");
}

}  // namespace platter::vhd
