// A guest offset picks an L1 entry, that an L2 table, that an entry for the cluster (or, with
// extended entries, its 32 subclusters): unallocated, zero, data or compressed. Snapshots differ
// from the disk only in the L1 table they start at.
//
// map() touches one page of L1 and one of L2. It makes the extent as long as the entries in the
// page at hand allow and leaves the next page to the next call. Entries are checked when they are
// used: nobody has looked at them before.
#include <fmt/format.h>

#include "formats/qcow2/check.h"
#include "formats/qcow2/compact.h"
#include "formats/qcow2/qcow2_image.h"
#include "lib/image/inflate.h"
#include "lib/image/zstd_codec.h"

namespace platter::qcow2 {
namespace {

constexpr uint32_t kL1EntryBits = 3;

Error corrupt_table(uint64_t l1_index, std::string_view what) {
  return {Errc::corrupt, fmt::format("L1 table entry {}: {}", l1_index, what)};
}

}  // namespace

Qcow2Image::Qcow2Image(Files files, const std::shared_ptr<PageCache>& tables, const Header& header,
                       std::vector<Snapshot> snapshots, ImageInfo info, Epochs* epochs)
    : files_(std::move(files)),
      luks_(header.luks),
      shape_{.cluster_bits = header.cluster_bits,
             .version = header.version,
             .extended = header.extended_l2,
             .external_data = header.external_data},
      codec_(header.compression == Compression::zstd ? &zstd_codec() : &deflate_codec()),
      file_size_(header.file_size),
      size_(header.size),
      l1_(files_.image, header.l1),
      l2_(files_.image, {0, kMaxHostOffset}, tables,
          std::min(header.cluster_size(), PageCache::kPageSize)),
      snapshots_(std::move(snapshots)),
      info_(std::move(info)) {
  if (epochs == nullptr) return;
  changes_ = std::make_unique<Changes>(Changes::Files{files_.image, files_.data, files_.cipher},
                                       header, snapshots_, tables, l1_, l2_, *epochs);
}

uint64_t Qcow2Image::size(SnapshotId snapshot) const {
  if (snapshot != 0) return snapshots_[snapshot - 1].info.size;
  return changes_ == nullptr ? size_ : changes_->disk_size();
}

std::vector<SnapshotInfo> Qcow2Image::snapshots() const {
  std::vector<SnapshotInfo> list;
  for (const Snapshot& snapshot : snapshots_) {
    if (!snapshot.removed) list.push_back(snapshot.info);
  }
  return list;
}

Result<void> Qcow2Image::check(Repair repair, CheckReport& report) {
  return check_image(*files_.image, repair, report);
}

std::optional<LuksPlace> Qcow2Image::luks_header() const {
  if (luks_.empty()) return std::nullopt;
  return LuksPlace{.file = files_.image.get(), .range = luks_, .has_payload = false};
}

std::vector<FilePtr> Qcow2Image::files() const {
  if (files_.data == nullptr || files_.data == files_.image) return {files_.image};
  return {files_.image, files_.data};
}

Result<Qcow2Image::Window> Qcow2Image::window(const Table& table, uint64_t index,
                                              uint32_t entry_bits) const {
  const uint64_t at = table.offset + (index << entry_bits);
  Window found{.page = TRY(l2_.page(at)), .offset = at % PageCache::kPageSize};
  // Tables are aligned to clusters and so to sectors: no entry crosses a page. With clusters
  // smaller than a page, what follows the table in it is no business of this one.
  const uint64_t cluster_end = align_down(at, shape_.cluster_size()) + shape_.cluster_size();
  const uint64_t end = std::min<uint64_t>(found.page->valid, found.offset + (cluster_end - at));
  const uint64_t here = end > found.offset ? (end - found.offset) >> entry_bits : 0;
  found.entries = std::min(here, table.entries - index);
  if (found.entries == 0) {
    return Error(Errc::corrupt, fmt::format("its table lies past the end of the file ({:#x})", at));
  }
  return found;
}

L2Entry Qcow2Image::entry(const Window& l2, uint64_t i) const {
  const std::byte* at = l2.page->bytes.data() + l2.offset + (i << shape_.entry_bits());
  const Bytes bytes(at, size_t{1} << shape_.entry_bits());
  L2Entry found{.word = load<be64>(bytes)};
  if (shape_.extended) found.bitmap = load<be64>(bytes, sizeof(be64));
  return found;
}

Result<Qcow2Image::L1Run> Qcow2Image::l1_run(SnapshotId snapshot, uint64_t index) const {
  if (snapshot == 0) {
    const uint64_t empty = TRY_IN("L1 table", l1_.empty_run(index));
    if (empty != 0) return L1Run{.empty = empty};
    // Entries never go back to empty while the image is open.
    return L1Run{.entry = TRY_IN("L1 table", l1_.entry(index))};
  }
  const Window l1 = TRY_IN("L1 table", window(snapshots_[snapshot - 1].l1, index, kL1EntryBits));
  const Bytes entries = Bytes(l1.page->bytes).subspan(l1.offset);
  L1Run run{.entry = load<be64>(entries)};
  while (run.empty < l1.entries &&
         (load<be64>(entries, run.empty * sizeof(be64)) & kOffsetMask) == 0) {
    ++run.empty;
  }
  return run;
}

Result<Extent> Qcow2Image::map(const Range& want, SnapshotId snapshot) const {
  if (snapshot != 0 && snapshots_[snapshot - 1].removed) {
    return Error(Errc::not_found, "the snapshot was deleted");
  }
  if (snapshot != 0 && !snapshots_[snapshot - 1].problem.empty()) {
    return Error(Errc::corrupt, fmt::format("snapshot table entry {}: {}", snapshot - 1,
                                            snapshots_[snapshot - 1].problem));
  }
  const Place place{
      want.offset >> (shape_.cluster_bits + shape_.table_bits()),
      (want.offset >> shape_.cluster_bits) & ((uint64_t{1} << shape_.table_bits()) - 1)};
  const uint64_t l1_entries = snapshot == 0 ? l1_.entries() : snapshots_[snapshot - 1].l1.entries;
  if (place.l1_index >= l1_entries) return Extent{.guest = want};
  const L1Run l1 = TRY(l1_run(snapshot, place.l1_index));
  if (l1.empty != 0) {
    const uint64_t end =
        align_down(want.offset, shape_.table_span()) + l1.empty * shape_.table_span();
    return Extent{.guest = {want.offset, std::min(end, want.end()) - want.offset}};
  }
  const Table l2{l1.entry & kOffsetMask, uint64_t{1} << shape_.table_bits()};
  if ((l2.offset & (shape_.cluster_size() - 1)) != 0) {
    return corrupt_table(place.l1_index, fmt::format("L2 table at {:#x} unaligned", l2.offset));
  }
  const Window l2_entries = TRY_IN(fmt::format("L1 table entry {}", place.l1_index),
                                   window(l2, place.l2_index, shape_.entry_bits()));
  return run(l2_entries, place, want);
}

Result<Extent> Qcow2Image::run(const Window& l2, const Place& place, const Range& want) const {
  using Kind = Allocation::Kind;
  const uint64_t cluster_mask = shape_.cluster_size() - 1;
  const Allocation first = decode(shape_, entry(l2, 0), want.offset & cluster_mask);
  if (first.kind == Kind::invalid) {
    return corrupt_table(place.l1_index,
                         fmt::format("L2 entry {} {}", place.l2_index, first.problem));
  }
  if (first.kind == Kind::compressed) return compressed(first, place, want);
  uint64_t length = first.length;
  for (uint64_t i = 1; i < l2.entries && length < want.length; ++i) {
    if (((want.offset + length) & cluster_mask) != 0) break;  // it ended inside a cluster
    const Allocation next = decode(shape_, entry(l2, i), 0);
    if (next.kind != first.kind) break;
    if (next.kind == Kind::data && next.host != first.host + length) break;
    if (changes_ != nullptr && next.owned != first.owned) break;
    length += next.length;
  }
  length = std::min(length, want.length);
  if (first.kind == Kind::data) return data(first, length, place, want);
  return Extent{.guest = {want.offset, length},
                .kind = first.kind == Kind::zero ? Extent::Kind::zero : Extent::Kind::absent};
}

Result<Extent> Qcow2Image::data(const Allocation& first, uint64_t length, const Place& place,
                                const Range& want) const {
  if (files_.data == nullptr) {
    return Error(Errc::unsupported, "external data file: not opened, as only info was asked for");
  }
  // Specification, "External data file": host and guest offsets are the same there.
  if (shape_.external_data && first.host != want.offset) {
    return corrupt_table(place.l1_index, fmt::format("L2 entry {} names another place of the data "
                                                     "file: {:#x} for {:#x}",
                                                     place.l2_index, first.host, want.offset));
  }
  Extent out{.guest = {want.offset, length},
             .kind = Extent::Kind::data,
             .file = files_.data.get(),
             .host = first.host,
             .cipher = files_.cipher.cipher.get(),
             .tweak = files_.cipher.tweak(want.offset, first.host)};
  const uint64_t size = data_end();
  if (first.host < size) {
    out.guest.length = std::min(length, size - first.host);
    out.in_place =
        first.owned && changes_ != nullptr && changes_->may_overwrite({out.host, out.guest.length});
    return out;
  }
  const uint64_t cluster = first.host & ~(shape_.cluster_size() - 1);
  if (cluster >= size) {
    return corrupt_table(place.l1_index,
                         fmt::format("L2 entry {} has a cluster past the end of the file ({:#x})",
                                     place.l2_index, cluster));
  }
  // The last cluster of the file may be cut short; what it lacks is zero.
  return Extent{.guest = {want.offset, std::min(length, first.length)}, .kind = Extent::Kind::zero};
}

Result<Extent> Qcow2Image::compressed(const Allocation& found, const Place& place,
                                      const Range& want) const {
  if (found.host >= file_size_) {
    return corrupt_table(place.l1_index, fmt::format("L2 entry {} has a compressed cluster past "
                                                     "the end of the file ({:#x})",
                                                     place.l2_index, found.host));
  }
  const uint64_t start = align_down(want.offset, shape_.cluster_size());
  return Extent{.guest = {want.offset, std::min(found.length, want.length)},
                .kind = Extent::Kind::encoded,
                .file = files_.image.get(),
                .host = found.host,
                .codec = codec_,
                .stored = found.stored,
                .unit = {start, shape_.cluster_size()}};
}

uint64_t Qcow2Image::data_end() const {
  return changes_ == nullptr ? files_.data_size : std::max(files_.data_size, changes_->data_end());
}

Result<void> Qcow2Image::expect_writable() const {
  if (changes_ == nullptr) return Error(Errc::read_only, "was opened for reading");
  return {};
}

Result<void> Qcow2Image::begin_writing() {
  TRY(expect_writable());
  return changes_->begin();
}

Result<Reservation> Qcow2Image::reserve(const Range& want) {
  TRY(expect_writable());
  return changes_->reserve(want);
}

Result<void> Qcow2Image::publish(const Reservation& reservation) {
  TRY(expect_writable());
  return changes_->publish(reservation);
}

void Qcow2Image::abandon(const Reservation& reservation) noexcept {
  if (changes_ != nullptr) changes_->abandon(reservation);
}

Result<Range> Qcow2Image::make_zero(const Range& want, File::Zero how) {
  TRY(expect_writable());
  return changes_->make_zero(want, how);
}

Result<std::unique_ptr<SnapshotChange>> Qcow2Image::change_snapshots(
    const SnapshotRequest& request) {
  TRY(expect_writable());
  return changes_->change_snapshots(request);
}

Result<void> Qcow2Image::resize(uint64_t size) {
  TRY(expect_writable());
  return changes_->resize(size);
}

Result<void> Qcow2Image::amend(const Metadata& options) {
  TRY(expect_writable());
  return changes_->amend(options);
}

Result<void> Qcow2Image::compact(Progress& progress) {
  TRY(expect_writable());
  return compact_image(*files_.image, files_.cipher, progress);
}

Result<void> Qcow2Image::flush(bool wrote_data) {
  TRY(expect_writable());
  return changes_->flush(wrote_data);
}

}  // namespace platter::qcow2
