// HandMadeImage: an Image whose extents a test writes down.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lib/image/image.h"
#include "lib/io/memory_file.h"

namespace platter::test {

// What is not written down is absent. Thread safe once it is filled.
class HandMadeImage final : public Image {
 public:
  HandMadeImage(std::string name, uint64_t size)
      : file_(std::make_shared<MemoryFile>(std::move(name))), size_(size) {}

  // Extents are given in order and do not overlap; file is this image's own where it is null.
  HandMadeImage& add(Extent extent) {
    if (extent.file == nullptr) extent.file = file_.get();
    extents_.push_back(extent);
    return *this;
  }
  HandMadeImage& zero(const Range& guest) {
    return add({.guest = guest, .kind = Extent::Kind::zero});
  }
  // The bytes lie at host in the image's own file.
  HandMadeImage& data(uint64_t guest, Bytes bytes, uint64_t host) {
    (void)file_->write(host, bytes);
    return add({.guest = {guest, bytes.size()}, .kind = Extent::Kind::data, .host = host});
  }
  void set_snapshot(SnapshotId id, uint64_t size) { snapshot_sizes_[id] = size; }

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId snapshot = 0) const override {
    return snapshot == 0 ? size_ : snapshot_sizes_.at(snapshot);
  }
  // Longer than want wherever it can be: callers must clip.
  Result<Extent> map(const Range& want, SnapshotId /*snapshot*/ = 0) const override {
    uint64_t gap_from = 0;
    for (const Extent& e : extents_) {
      if (e.guest.contains(want.offset)) return e;
      if (e.guest.offset > want.offset) {
        return Extent{.guest = {gap_from, e.guest.offset - gap_from}};
      }
      gap_from = e.guest.end();
    }
    return Extent{.guest = {gap_from, kMaxOffset - gap_from}};
  }
  std::vector<FilePtr> files() const override { return {file_}; }
  MemoryFile& file() const { return *file_; }

 private:
  std::shared_ptr<MemoryFile> file_;
  uint64_t size_;
  ImageInfo info_;
  std::vector<Extent> extents_;
  std::map<SnapshotId, uint64_t> snapshot_sizes_;
};

}  // namespace platter::test
