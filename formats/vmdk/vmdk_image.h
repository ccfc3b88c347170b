// VmdkImage: a disk put together from the extents that a descriptor names.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "formats/vmdk/descriptor.h"
#include "formats/vmdk/descriptor_store.h"
#include "formats/vmdk/open_extents.h"
#include "lib/base/sync.h"

namespace platter::vmdk {

// What an image is made of, as it was opened.
struct Opened {
  // Without: a bare extent of ESX, whose descriptor is not there.
  std::optional<Descriptor> descriptor;
  std::optional<DescriptorStore> store;
  std::vector<Part> parts;
  std::vector<std::string> warnings;
  std::optional<Error> missing;   // why parts are not there, of an image opened for its description
  std::string bare_variant = {};  // without a descriptor: what it is
};

// Why the disk can only be read, if so.
Result<void> expect_writable(const Opened& opened);

// Thread safe.
class VmdkImage final : public Image {
 public:
  VmdkImage(FilePtr file, Opened opened, bool writable);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId /*snapshot*/) const override { return size_; }
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  std::vector<FilePtr> files() const override;

  Result<void> begin_writing() override EXCLUDES(begin_);
  Result<Reservation> reserve(const Range& want) override;
  Result<void> publish(const Reservation& reservation) override;
  void abandon(const Reservation& reservation) noexcept override;
  Result<Range> make_zero(const Range& want, File::Zero how) override;
  Result<void> flush(bool wrote_data) override;
  bool wants_flush() const override;
  Result<void> resize(uint64_t size) override;
  Result<void> check(Repair repair, CheckReport& report) override;
  Result<void> set_metadata(const Metadata& values) override;
  Result<void> set_parent(const ParentLink& parent) override;
  Result<void> drop_parent() override;
  Result<void> compact(Progress& progress) override;

 private:
  // The part that has this byte of the disk, and its number.
  size_t part_at(uint64_t offset) const;
  // Adds which extent an error is of.
  Error in_extent(size_t index, Error error) const;

  Result<void> expect_open_for_writing() const;
  // The descriptor as it is in the file now.
  Result<Descriptor> read_descriptor() const;
  Result<void> new_content_id();
  Result<void> grow_descriptor(uint64_t size);
  // From the files as they are now.
  Result<void> take_anew();

  const FilePtr file_;
  const bool writable_;
  Opened opened_;
  uint64_t size_ = 0;
  ImageInfo info_;
  bool in_doubt_ = false;  // what is in the files: nothing more may be changed

  std::atomic<bool> begin_failed_{false};
  Mutex begin_;
  bool begun_ GUARDED_BY(begin_) = false;
};

}  // namespace platter::vmdk
