// A guest offset picks an L1 entry, that an L2 table, that an entry for the cluster: absent, data
// or compressed. map() touches one page of L1 and one of L2; it makes the extent as long as the
// entries in the page at hand allow. Entries are checked when they are used: nobody has looked at
// them before.
#include "formats/qcow/qcow_image.h"

#include <fmt/format.h>

#include "formats/qcow/check.h"
#include "formats/qcow/resize.h"
#include "lib/image/inflate.h"

namespace platter::qcow {
namespace {

ImageInfo describe(const Header& header) {
  ImageInfo info{.format = "qcow",
                 .variant = "v1",
                 .block_size = header.cluster_size(),
                 .warnings = header.warnings};
  if (!header.backing_file.empty()) info.parent = ParentLink{.reference = header.backing_file};
  info.details = {{"cluster_size", header.cluster_size()}, {"l2_entries", header.table_entries()}};
  info.encrypted = header.encrypted;
  if (header.encrypted) info.details.emplace_back("encryption", "aes");
  if (header.mtime != 0) info.details.emplace_back("backing_mtime", uint64_t{header.mtime});
  return info;
}

Error corrupt_entry(uint64_t l1_index, std::string_view what) {
  return {Errc::corrupt, fmt::format("L1 table entry {}: {}", l1_index, what)};
}

}  // namespace

QcowImage::QcowImage(FilePtr file, std::shared_ptr<PageCache> tables, Header header,
                     CipherPtr cipher, bool writable)
    : file_(std::move(file)),
      tables_(std::move(tables)),
      cipher_(std::move(cipher)),
      writable_(writable) {
  take(std::move(header));
}

void QcowImage::take(Header header) {
  changes_.reset();
  header_ = std::move(header);
  info_ = describe(header_);
  l1_.emplace(file_, header_.l1(), tables_);
  // Guest bytes may lie beside a table in any sector of its pages.
  l2_.emplace(file_, Range{0, kMaxOffset}, tables_, writable_ ? kSector : PageCache::kPageSize);
  if (writable_) changes_ = std::make_unique<Changes>(file_, header_, tables_, *l1_, *l2_);
}

uint64_t QcowImage::Window::operator[](uint64_t i) const {
  const uint64_t at = offset + i * sizeof(be64);
  return at + sizeof(be64) <= page->valid ? uint64_t{load<be64>(Bytes(page->bytes), at)} : 0;
}

Result<QcowImage::Window> QcowImage::window(const PageTable& table, uint64_t at, uint64_t entries) {
  const uint64_t in_unit = (table.unit() - at % table.unit()) / sizeof(be64);
  return Window{TRY(table.page(at)), at % PageCache::kPageSize, std::min(entries, in_unit)};
}

Result<Extent> QcowImage::map(const Range& want, SnapshotId /*snapshot*/) const {
  const uint64_t cluster = want.offset >> header_.cluster_bits;
  Place place{.l1_index = cluster >> header_.l2_bits,
              .l2_index = cluster & (header_.table_entries() - 1)};
  const Window l1 =
      TRY_IN("L1 table", window(*l1_, header_.l1_offset + place.l1_index * sizeof(be64),
                                header_.l1_entries - place.l1_index));
  place.table = l1[0];
  if (place.table == 0) {
    uint64_t empty = 1;
    while (empty < l1.entries && l1[empty] == 0) ++empty;
    const uint64_t end = (place.l1_index + empty) << (header_.cluster_bits + header_.l2_bits);
    return Extent{.guest = {want.offset, std::min(end, want.end()) - want.offset}};
  }
  if (place.table % sizeof(be64) != 0) {
    return corrupt_entry(place.l1_index,
                         fmt::format("its L2 table at {:#x} is unaligned", place.table));
  }
  if (place.table >= data_end()) {
    return corrupt_entry(place.l1_index, fmt::format("its L2 table lies past the end of the file "
                                                     "({:#x})",
                                                     place.table));
  }
  return run(place, want);
}

Result<Extent> QcowImage::run(const Place& place, const Range& want) const {
  const uint64_t cluster_size = header_.cluster_size();
  uint64_t at = place.table + place.l2_index * sizeof(be64);
  uint64_t left = header_.table_entries() - place.l2_index;
  Window l2 = TRY_IN(fmt::format("L1 table entry {}", place.l1_index), window(*l2_, at, left));
  const Cluster first = decode(header_, l2[0]);
  if (first.kind == Cluster::Kind::invalid) {
    return corrupt_entry(place.l1_index,
                         fmt::format("L2 entry {} {}", place.l2_index, first.problem));
  }
  if (first.kind == Cluster::Kind::compressed) return compressed(place, first, want);
  const uint64_t start = align_down(want.offset, cluster_size);
  Range guest{start, cluster_size};
  for (uint64_t i = 1; guest.end() < want.end(); ++i) {
    if (i == l2.entries) {
      at += l2.entries * sizeof(be64);
      left -= l2.entries;
      if (left == 0 || at % PageCache::kPageSize == 0) break;
      l2 = TRY_IN(fmt::format("L1 table entry {}", place.l1_index), window(*l2_, at, left));
      i = 0;
    }
    const Cluster next = decode(header_, l2[i]);
    if (next.kind != first.kind) break;
    if (next.kind == Cluster::Kind::data && next.host.offset != first.host.offset + guest.length) {
      break;
    }
    guest.length += cluster_size;
  }
  const Range part = intersect(guest, want);
  if (first.kind == Cluster::Kind::absent) return Extent{.guest = part};
  return data(place, part, first.host.offset + (part.offset - start));
}

Result<Extent> QcowImage::data(const Place& place, const Range& guest, uint64_t host) const {
  const uint64_t end = data_end();
  if (host < end) {
    return Extent{.guest = {guest.offset, std::min(guest.length, end - host)},
                  .kind = Extent::Kind::data,
                  .file = file_.get(),
                  .host = host,
                  .in_place = changes_ != nullptr && changes_->may_overwrite(place.l1_index),
                  .cipher = cipher_.get(),
                  .tweak = align_down(guest.offset, Cipher::kSector)};
  }
  const uint64_t in_cluster = guest.offset & (header_.cluster_size() - 1);
  if (host - in_cluster >= end) {
    return corrupt_entry(place.l1_index, fmt::format("L2 entry {} has a cluster past the end of "
                                                     "the file ({:#x})",
                                                     place.l2_index, host - in_cluster));
  }
  // The last cluster of the file may be cut short; what it lacks is zero.
  return Extent{
      .guest = {guest.offset, std::min(guest.length, header_.cluster_size() - in_cluster)},
      .kind = Extent::Kind::zero};
}

Result<Extent> QcowImage::compressed(const Place& place, const Cluster& found,
                                     const Range& want) const {
  if (found.host.offset >= data_end()) {
    return corrupt_entry(place.l1_index, fmt::format("L2 entry {} has a compressed cluster past "
                                                     "the end of the file ({:#x})",
                                                     place.l2_index, found.host.offset));
  }
  const Range unit{align_down(want.offset, header_.cluster_size()), header_.cluster_size()};
  return Extent{.guest = intersect(unit, want),
                .kind = Extent::Kind::encoded,
                .file = file_.get(),
                .host = found.host.offset,
                .codec = &deflate_codec(),
                .stored = static_cast<uint32_t>(found.host.length),
                .unit = unit};
}

uint64_t QcowImage::data_end() const {
  return changes_ == nullptr ? header_.file_size
                             : std::max(header_.file_size, changes_->data_end());
}

Result<void> QcowImage::expect_writable() const {
  if (changes_ == nullptr) return Error(Errc::read_only, "was opened for reading");
  return {};
}

Result<void> QcowImage::begin_writing() {
  TRY(expect_writable());
  return changes_->begin();
}

Result<Reservation> QcowImage::reserve(const Range& want) {
  TRY(expect_writable());
  Reservation reservation = TRY(changes_->reserve(want));
  reservation.cipher = cipher_.get();
  reservation.tweak = reservation.covers.offset;
  return reservation;
}

Result<void> QcowImage::publish(const Reservation& reservation) {
  TRY(expect_writable());
  return changes_->publish(reservation);
}

void QcowImage::abandon(const Reservation& reservation) noexcept {
  if (changes_ != nullptr) changes_->abandon(reservation);
}

// There is no entry for zeroes. A cluster that has a place keeps it, its bytes can go; those that
// are encrypted cannot, for zeroes in the file are none of the disk.
Result<Range> QcowImage::make_zero(const Range& want, File::Zero how) {
  TRY(expect_writable());
  const Extent e = TRY(map(want, 0)).clipped(want);
  if (e.kind == Extent::Kind::data && e.cipher != nullptr) return Range{want.offset, 0};
  if (e.kind == Extent::Kind::data && e.in_place) {
    const bool done = TRY(file_->make_zero({e.host, e.guest.length}, how));
    return Range{want.offset, done ? e.guest.length : 0};
  }
  const bool nothing_below = header_.backing_file.empty();
  if (e.kind == Extent::Kind::encoded && nothing_below && how == File::Zero::free_space) {
    const Range whole = intersect(e.unit, {0, header_.size});
    if (want.contains(whole) && want.offset == whole.offset) {
      TRY(changes_->drop(want.offset));
      return whole;
    }
  }
  return Range{want.offset, 0};
}

Result<void> QcowImage::flush(bool wrote_data) {
  TRY(expect_writable());
  return changes_->flush(wrote_data);
}

Result<void> QcowImage::check(Repair repair, CheckReport& report) {
  if (repair != Repair::none) TRY(expect_writable());
  return check_image(*file_, TRY(parse_header(*file_)), repair, report);
}

Result<void> QcowImage::resize(uint64_t size) {
  TRY(expect_writable());
  // What was written since it was opened has made the file longer.
  Result<void> done = qcow::resize(*file_, TRY(parse_header(*file_)), cipher_.get(), size);
  // It went past the tables in memory.
  tables_->forget(*file_);
  Result<Header> now = parse_header(*file_);
  if (now) {
    take(*std::move(now));
    return done;
  }
  // Whatever the header says by now: the old tables are where they were, and tell where the
  // clusters are. What is new is not known, so nothing more may be written.
  header_.file_size = data_end();
  changes_.reset();
  return done ? std::move(now.error()) : std::move(done.error());
}

}  // namespace platter::qcow
