// Census: counts every pointer of an image, a window of the file at a time.
#pragma once

#include "formats/qcow2/check_refcounts.h"
#include "formats/qcow2/check_walk.h"

namespace platter::qcow2 {

// What a check starts from: an image as far as it can be followed.
struct CheckedImage {
  Header header;
  SnapshotTable snapshots;
};
// The same errors as opening it has, but for what a check reports.
Result<CheckedImage> load_for_check(const File& file);

class Census {
 public:
  enum class Refcounts : unsigned char { counted, left_out };

  Census(File& file, const CheckedImage& image);

  TableWalk& walk() { return walk_; }
  // Whether the clusters of the refcount table and its blocks count.
  void set_refcounts(Refcounts refcounts) { refcounts_ = refcounts; }

  // Faults of entries and tables go to findings, each once; it may be null. Windows are in
  // ascending order and together hold all clusters of the file, and one behind it. 40 MiB hold
  // 16 TiB of clusters of 64 KiB that are used once; an image that needs more takes another pass
  // over its tables for every 40 MiB.
  using VisitWindow = std::function<Result<void>(RefcountMap&, StoredRefcounts&)>;
  Result<void> for_each_window(Findings* findings, const VisitWindow& visit);

 private:
  static constexpr uint64_t kMapMemory = 40 * MiB;

  void hold(const Range& bytes, uint64_t uses, Pointer kind);
  Result<void> count_window(Findings* findings);
  Result<void> count_l1(Findings* findings);
  Result<void> count_l2(Findings* findings);
  void count_entry(const L2Use& use, uint64_t index, const L2Entry& entry, Findings* findings);
  void note_stray(const Range& held, Findings& findings) const;

  File& file_;
  const CheckedImage& image_;
  const L2Shape shape_;
  TableWalk walk_;
  RefcountMap map_{kMapMemory};
  Refcounts refcounts_ = Refcounts::counted;
  std::vector<uint64_t> refcount_blocks_;
};

}  // namespace platter::qcow2
