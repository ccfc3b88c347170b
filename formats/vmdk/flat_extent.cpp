#include "formats/vmdk/flat_extent.h"

#include <fmt/format.h>

namespace platter::vmdk {

FlatExtent::FlatExtent(FilePtr file, Range window, uint64_t file_size, bool writable)
    : DiskExtent(window.length),
      file_(std::move(file)),
      window_(window),
      writable_(writable),
      there_(std::min(window.length, file_size - std::min(file_size, window.offset))) {
  if (there_ < window.length) {
    warnings_.push_back(fmt::format("its file ends {} bytes early: zeroes are shown for them",
                                    window.length - there_));
  }
}

Result<std::unique_ptr<FlatExtent>> FlatExtent::open(FilePtr file, Range window, bool writable) {
  const uint64_t size = TRY(file->stat()).size;
  if (window.offset >= size) {
    return Error(Errc::corrupt, fmt::format("truncated: it begins at {}, its file has {} bytes",
                                            window.offset, size));
  }
  return std::unique_ptr<FlatExtent>(new FlatExtent(std::move(file), window, size, writable));
}

Result<Extent> FlatExtent::map(const Range& want) const {
  const uint64_t there = there_.load();
  if (want.offset >= there) {
    return Extent{.guest = {there, size() - there}, .kind = Extent::Kind::zero};
  }
  const uint64_t at = window_.offset + want.offset;
  const File::Run run = TRY(file_->run_at(at));
  const Range host = intersect(run.range, {window_.offset, there});
  return Extent{.guest = {host.offset - window_.offset, host.length},
                .kind = run.data ? Extent::Kind::data : Extent::Kind::zero,
                .file = file_.get(),
                .host = host.offset,
                .in_place = writable_};
}

// A write into a hole goes to the very place it has anyway.
Result<Reservation> FlatExtent::reserve(const Range& want) {
  return Reservation{.covers = want, .file = file_.get(), .host = window_.offset + want.offset};
}

Result<void> FlatExtent::begin_writing() {
  if (there_ == size()) return {};
  // What it lacks becomes a hole.
  TRY(file_->resize(window_.end()));
  there_ = size();
  return {};
}

Result<Range> FlatExtent::make_zero(const Range& want, File::Zero how) {
  const bool done = TRY(file_->make_zero({window_.offset + want.offset, want.length}, how));
  return Range{want.offset, done ? want.length : 0};
}

Result<void> FlatExtent::flush(bool wrote_data) {
  return wrote_data ? file_->sync() : Result<void>();
}

// What lies behind the extent is nobody's, or left by a growth that was cut short.
Result<void> FlatExtent::grow(uint64_t size) {
  if (window_.offset != 0) {
    return Error(Errc::unsupported, "an extent in the middle of its file cannot grow");
  }
  if (TRY(file_->stat()).size > window_.length) TRY(file_->resize(window_.length));
  TRY(file_->resize(size));
  return file_->sync();
}

Result<std::unique_ptr<DiskExtent>> FlatExtent::reopened(uint64_t size) {
  std::unique_ptr<DiskExtent> extent = TRY(open(file_, {window_.offset, size}, writable_));
  return extent;
}

}  // namespace platter::vmdk
