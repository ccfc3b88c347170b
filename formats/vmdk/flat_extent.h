// FlatExtent: a part of a disk that lies in a file as it is; ZeroExtent: one that lies nowhere.
#pragma once

#include <atomic>
#include <memory>

#include "formats/vmdk/disk_extent.h"

namespace platter::vmdk {

// FLAT and VMFS. Thread safe.
class FlatExtent final : public DiskExtent {
 public:
  // window: the bytes of the file; where that ends before, zeroes. Errc::corrupt: it ends before
  // the window begins.
  static Result<std::unique_ptr<FlatExtent>> open(FilePtr file, Range window, bool writable);

  Result<Extent> map(const Range& want) const override;
  FilePtr file() const override { return file_; }
  std::vector<std::string> warnings() const override { return warnings_; }

  Result<void> expect_writable() const override { return {}; }
  Result<void> begin_writing() override;
  Result<Reservation> reserve(const Range& want) override;
  Result<void> publish(const Reservation& /*reservation*/) override { return {}; }
  Result<Range> make_zero(const Range& want, File::Zero how) override;
  Result<void> flush(bool wrote_data) override;
  Result<void> grow(uint64_t size) override;
  Result<std::unique_ptr<DiskExtent>> reopened(uint64_t size) override;

 private:
  FlatExtent(FilePtr file, Range window, uint64_t file_size, bool writable);

  const FilePtr file_;
  const Range window_;
  const bool writable_;
  std::vector<std::string> warnings_;
  std::atomic<uint64_t> there_;  // bytes of the window that are in the file
};

// ZERO. Thread safe.
class ZeroExtent final : public DiskExtent {
 public:
  using DiskExtent::DiskExtent;
  Result<Extent> map(const Range& /*want*/) const override {
    return Extent{.guest = {0, size()}, .kind = Extent::Kind::zero};
  }
};

// NOACCESS: nobody may look at it. Thread safe.
class BarredExtent final : public DiskExtent {
 public:
  using DiskExtent::DiskExtent;
  Result<Extent> map(const Range& /*want*/) const override {
    return Error(Errc::denied, "the extent is not to be read (NOACCESS)");
  }
};

}  // namespace platter::vmdk
