// ToyImage: the smallest writable format there is, to test the write path with and without faults.
#pragma once

#include <optional>

#include "lib/image/epochs.h"
#include "lib/image/flush_order.h"
#include "lib/image/image.h"
#include "lib/image/page_table.h"
#include "lib/image/space.h"

namespace platter::test {

// On disk, little-endian: one reference count a host block (u8, at kCounts), one pointer a guest
// block (u32 at kMap: 0 absent, 0xffffffff zero, else host block + 1), host blocks from kData on.
// Like qcow2, a count must be durable before the pointer it counts; like VDI, blocks are whole.
class ToyImage final : public Image {
 public:
  static constexpr uint64_t kBlock = 2 * KiB;
  static constexpr uint64_t kCounts = 4 * KiB;
  static constexpr uint64_t kMap = 8 * KiB;
  static constexpr uint64_t kData = 16 * KiB;
  static constexpr uint64_t kMaxBlocks = 2048;

  // How its flush goes: through FlushOrder, or wrong on purpose.
  enum class Flush : unsigned char { ordered, overlapping };

  // An empty disk of `size` bytes in file; synced.
  static Result<void> create(File& file, uint64_t size);
  static Result<std::unique_ptr<ToyImage>> open(FilePtr file, Epochs& epochs,
                                                Flush how = Flush::ordered);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId /*snapshot*/ = 0) const override { return size_; }
  Result<Extent> map(const Range& want, SnapshotId snapshot = 0) const override;
  std::vector<FilePtr> files() const override { return {file_}; }

  Result<void> begin_writing() override { return {}; }
  Result<Reservation> reserve(const Range& want) override;
  Result<void> publish(const Reservation& reservation) override;
  void abandon(const Reservation& reservation) noexcept override;
  Result<Range> make_zero(const Range& want, File::Zero how) override;
  Result<void> flush(bool wrote_data) override;

  // Empty: consistent. Counts that are too high are leaks and no fault.
  std::optional<std::string> fault() const;

 private:
  ToyImage(FilePtr file, uint64_t size, uint64_t end, Epochs& epochs, Flush how);
  Result<uint32_t> pointer(uint64_t block) const;
  Result<void> point(uint64_t block, uint32_t value);
  Result<void> count(uint32_t pointer, uint8_t references);
  Result<void> overlapping_flush();

  FilePtr file_;
  uint64_t size_;
  ImageInfo info_;
  PageTable counts_, map_;
  FlushOrder order_;
  Flush how_;
  Space space_;
};

}  // namespace platter::test
