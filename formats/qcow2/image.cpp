// A guest offset picks an L1 entry, that an L2 table, that an entry for the cluster (or, with
// extended entries, its 32 subclusters): unallocated, zero, data or compressed. Snapshots differ
// from the disk only in the L1 table they start at.
//
// map() touches one page of L1 and one of L2. It makes the extent as long as the entries in the
// page at hand allow and leaves the next page to the next call. Entries are checked when they are
// used: nobody has looked at them before.
#include <fmt/format.h>

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

Qcow2Image::Qcow2Image(Files files, std::shared_ptr<PageCache> tables,
                       PageCache::PagePtr first_l1_page, const Header& header,
                       std::vector<Snapshot> snapshots, ImageInfo info)
    : files_(std::move(files)),
      tables_(std::move(tables)),
      first_l1_page_(std::move(first_l1_page)),
      shape_{.cluster_bits = header.cluster_bits,
             .version = header.version,
             .extended = header.extended_l2,
             .external_data = header.external_data},
      codec_(header.compression == Compression::zstd ? &zstd_codec() : &deflate_codec()),
      file_size_(header.file_size),
      size_(header.size),
      l1_(header.l1),
      snapshots_(std::move(snapshots)),
      info_(std::move(info)) {}

uint64_t Qcow2Image::size(SnapshotId snapshot) const {
  return snapshot == 0 ? size_ : snapshots_[snapshot - 1].info.size;
}

std::vector<SnapshotInfo> Qcow2Image::snapshots() const {
  std::vector<SnapshotInfo> list;
  for (const Snapshot& snapshot : snapshots_) list.push_back(snapshot.info);
  return list;
}

std::vector<FilePtr> Qcow2Image::files() const {
  if (files_.data == nullptr || files_.data == files_.image) return {files_.image};
  return {files_.image, files_.data};
}

Result<Qcow2Image::Window> Qcow2Image::window(const Table& table, uint64_t index,
                                              uint32_t entry_bits) const {
  const uint64_t at = table.offset + (index << entry_bits);
  Window found;
  if (first_l1_page_ != nullptr && at / PageCache::kPageSize == l1_.offset / PageCache::kPageSize) {
    found.page = first_l1_page_.get();
  } else {
    found.owner = TRY(tables_->page(*files_.image, at));
    found.page = found.owner.get();
  }
  // Tables are aligned to clusters and so to sectors: no entry crosses a page.
  found.offset = at % PageCache::kPageSize;
  const uint64_t valid = found.page->valid;
  const uint64_t here = valid > found.offset ? (valid - found.offset) >> entry_bits : 0;
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

// As far as the L1 entries at hand are empty.
Extent Qcow2Image::absent_run(const Window& l1, const Range& want) const {
  const uint32_t span_bits = shape_.cluster_bits + shape_.table_bits();
  const Bytes entries = Bytes(l1.page->bytes).subspan(l1.offset);
  uint64_t end = (want.offset >> span_bits << span_bits) + (uint64_t{1} << span_bits);
  for (uint64_t i = 1; i < l1.entries && end < want.end(); ++i) {
    if ((load<be64>(entries, i * sizeof(be64)) & kOffsetMask) != 0) break;
    end += uint64_t{1} << span_bits;
  }
  return {.guest = {want.offset, std::min(end, want.end()) - want.offset}};
}

Result<Extent> Qcow2Image::map(const Range& want, SnapshotId snapshot) const {
  if (snapshot != 0 && !snapshots_[snapshot - 1].problem.empty()) {
    return Error(Errc::corrupt, fmt::format("snapshot table entry {}: {}", snapshot - 1,
                                            snapshots_[snapshot - 1].problem));
  }
  const Table& l1 = snapshot == 0 ? l1_ : snapshots_[snapshot - 1].l1;
  const Place place{
      want.offset >> (shape_.cluster_bits + shape_.table_bits()),
      (want.offset >> shape_.cluster_bits) & ((uint64_t{1} << shape_.table_bits()) - 1)};
  if (place.l1_index >= l1.entries) return Extent{.guest = want};
  const Window l1_entries = TRY_IN("L1 table", window(l1, place.l1_index, kL1EntryBits));
  const uint64_t l1_entry = load<be64>(l1_entries.page->bytes, l1_entries.offset);
  const Table l2{l1_entry & kOffsetMask, uint64_t{1} << shape_.table_bits()};
  if (l2.offset == 0) return absent_run(l1_entries, want);
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
             .host = first.host};
  const uint64_t size = files_.data_size;
  if (first.host < size) {
    out.guest.length = std::min(length, size - first.host);
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

}  // namespace platter::qcow2
