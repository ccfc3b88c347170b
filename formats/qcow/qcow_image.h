// QcowImage: guest clusters found through two levels of tables, without counts of who uses what.
#pragma once

#include <memory>
#include <optional>

#include "formats/qcow/changes.h"
#include "formats/qcow/l2.h"
#include "lib/image/image.h"

namespace platter::qcow {

// Thread safe.
class QcowImage final : public Image {
 public:
  // cipher: of an encrypted image, else null.
  QcowImage(FilePtr file, std::shared_ptr<PageCache> tables, Header header, CipherPtr cipher,
            bool writable);

  const ImageInfo& info() const override { return info_; }
  uint64_t size(SnapshotId /*snapshot*/) const override { return header_.size; }
  Result<Extent> map(const Range& want, SnapshotId snapshot) const override;
  std::vector<FilePtr> files() const override { return {file_}; }

  Result<void> begin_writing() override;
  Result<Reservation> reserve(const Range& want) override;
  Result<void> publish(const Reservation& reservation) override;
  void abandon(const Reservation& reservation) noexcept override;
  Result<Range> make_zero(const Range& want, File::Zero how) override;
  Result<void> flush(bool wrote_data) override;
  bool wants_flush() const override { return changes_ != nullptr && changes_->wants_flush(); }
  Result<void> resize(uint64_t size) override;
  Result<void> check(Repair repair, CheckReport& report) override;
  Result<void> set_parent(const ParentLink& parent) override;
  Result<void> drop_parent() override;

 private:
  // Entries of a table from one on, as far as they lie in one unit of it.
  struct Window {
    PageCache::PagePtr page;
    size_t offset = 0;     // in the page, bytes
    uint64_t entries = 0;  // at least one
    // Past the end of the file there are zeroes.
    uint64_t operator[](uint64_t i) const;
  };
  struct Place {
    uint64_t l1_index = 0, l2_index = 0;
    uint64_t table = 0;  // the offset of the L2 table
  };

  // What the header says now. What is in memory of the tables is given up.
  void take(Header header);
  static Result<Window> window(const PageTable& table, uint64_t at, uint64_t entries);
  Result<void> expect_writable() const;
  uint64_t data_end() const;
  // Of the cluster that holds want.offset, and those after it that go on where it ends.
  Result<Extent> run(const Place& place, const Range& want) const;
  Result<Extent> data(const Place& place, const Range& guest, uint64_t host) const;
  Result<Extent> compressed(const Place& place, const Cluster& found, const Range& want) const;

  const FilePtr file_;
  const std::shared_ptr<PageCache> tables_;
  const CipherPtr cipher_;
  const bool writable_;

  // As long as nobody resizes the disk.
  Header header_;
  ImageInfo info_;
  std::optional<PageTable> l1_, l2_;
  std::unique_ptr<Changes> changes_;  // null: not to be changed
};

}  // namespace platter::qcow
