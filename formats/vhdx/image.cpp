#include "formats/vhdx/check.h"
#include "formats/vhdx/compact.h"
#include "formats/vhdx/describe.h"
#include "formats/vhdx/drop_parent.h"
#include "formats/vhdx/metadata.h"
#include "formats/vhdx/resize.h"
#include "formats/vhdx/vhdx_image.h"

namespace platter::vhdx {

VhdxImage::VhdxImage(Files files, std::shared_ptr<PageCache> tables, Parsed header, Epochs* epochs,
                     bool info_only)
    : files_(std::move(files)), tables_(std::move(tables)), epochs_(epochs), info_only_(info_only) {
  take(std::move(header));
}

void VhdxImage::take(Parsed header) {
  changes_.reset();
  blocks_.reset();
  header_ = std::move(header);
  info_ = describe(header_);
  const bool changing = epochs_ != nullptr && !info_only_;
  blocks_.emplace(files_.shown, header_, tables_, changing);
  if (changing) {
    changes_ = std::make_unique<Changes>(files_.image, header_, tables_, *blocks_, *epochs_);
  }
}

Result<void> VhdxImage::expect_writable() const {
  if (epochs_ != nullptr) return {};
  return Error(Errc::read_only, "is open for reading only");
}

Result<Extent> VhdxImage::map(const Range& want, SnapshotId /*snapshot*/) const {
  return blocks_->find(want);
}

Result<void> VhdxImage::begin_writing() {
  return changes_ ? changes_->begin() : Image::begin_writing();
}

Result<Reservation> VhdxImage::reserve(const Range& want) {
  return changes_ ? changes_->reserve(want) : Image::reserve(want);
}

Result<void> VhdxImage::publish(const Reservation& r) {
  return changes_ ? changes_->publish(r) : Image::publish(r);
}

void VhdxImage::abandon(const Reservation& r) noexcept {
  if (changes_) changes_->abandon(r);
}

Result<Range> VhdxImage::make_zero(const Range& want, File::Zero how) {
  return changes_ ? changes_->make_zero(want, how) : Image::make_zero(want, how);
}

Result<void> VhdxImage::flush(bool wrote_data) {
  return changes_ ? changes_->flush(wrote_data) : Result<void>();
}

Result<void> VhdxImage::check(Repair how, CheckReport& report) {
  TRY(check_image(*files_.shown, header_, report));
  if (how == Repair::none) return {};
  TRY(expect_writable());
  return repair(*files_.image, header_, how, report);
}

Result<void> VhdxImage::resize(uint64_t size) {
  if (!changes_) return Image::begin_writing();
  // What was written since it was opened has changed the headers.
  const Parsed before = TRY(parse_for_change(*files_.image));
  Result<void> done = vhdx::resize(files_.image, before, size);
  // It went past the tables in memory.
  tables_->forget(*files_.image);
  Result<Parsed> now = parse_for_change(*files_.image);
  if (now) {
    take(*std::move(now));
    return done;
  }
  // Whatever the file says by now: the BAT tells where the blocks of the old size are. What is new
  // is not known, so nothing more may be written.
  changes_.reset();
  return done ? std::move(now.error()) : std::move(done.error());
}

Result<void> VhdxImage::set_metadata(const Metadata& values) {
  TRY(expect_writable());
  return vhdx::set_metadata(files_.image, values);
}

Result<void> VhdxImage::set_parent(const ParentLink& parent) {
  TRY(expect_writable());
  return vhdx::set_parent(files_.image, parent);
}

Result<void> VhdxImage::drop_parent() {
  TRY(expect_writable());
  return vhdx::drop_parent(files_.image);
}

Result<void> VhdxImage::compact(Progress& progress) {
  TRY(expect_writable());
  const Parsed header = TRY(parse_for_change(*files_.image));
  TRY(Changes::check_supported(header));
  return vhdx::compact(files_.image, header, progress);
}

}  // namespace platter::vhdx
