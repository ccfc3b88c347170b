// Growing: everything that must read as zeroes behind the old end is made so before the header says
// the new size. Shrinking: the header says the new size first, and then what lies behind it goes; a
// crash leaves it there, out of sight, until the disk grows again and clears it.
#include <fmt/format.h>

#include "formats/qcow2/changes.h"
#include "formats/qcow2/header_fields.h"
#include "lib/base/checked.h"
#include "lib/base/text.h"

namespace platter::qcow2 {

Result<void> Changes::resize(uint64_t size) {
  TRY(begin());
  TRY(expect_sound());
  if (header_.version == 2 && header_.snapshots != 0) {
    return Error(Errc::unsupported,
                 "version 2 keeps no size of its snapshots: with them its disk stays as it is");
  }
  if (header_.bitmaps != 0) {
    return Error(Errc::unsupported, "it has dirty bitmaps, which fit one size only");
  }
  const uint64_t most = std::min(kMaxL1Bytes / sizeof(be64) * shape_.table_span(), kMaxOffset);
  if (size > most) {
    return Error(Errc::invalid,
                 fmt::format("a disk of {} bytes is too large: with clusters of {} it can have {}",
                             size, human_size(shape_.cluster_size()), human_size(most)));
  }
  size = align_up(size, kSector);
  if (size == disk_size_) return {};
  return size > disk_size_ ? grow(size) : shrink(size);
}

Result<void> Changes::grow(uint64_t size) {
  const bool hide = !header_.backing_file.empty();
  if (hide && shape_.version == 2) {
    return Error(Errc::unsupported,
                 "version 2 cannot hide what its backing file may hold behind the end");
  }
  if (header_.data_file_raw && files_.cipher.cipher != nullptr) {
    return Error(Errc::unsupported, "its data file is both raw and encrypted: it does not grow");
  }
  TRY(zero_in_last_cluster(disk_size_));
  TRY(grow_l1(div_up(size, shape_.table_span())));
  const Range added{disk_size_, size - disk_size_};
  TRY(clear(added, hide));
  const uint64_t data_size = TRY(files_.data->stat()).size;
  if (shape_.external_data && data_size < size) TRY(files_.data->resize(size));
  if (header_.data_file_raw) TRY(allocate_in_data_file(added));
  TRY(flush(true));
  TRY(write_disk_size(*files_.image, size));
  TRY(files_.image->sync());
  disk_size_ = size;
  data_reaches(TRY(files_.data->stat()).size);
  return {};
}

Result<void> Changes::shrink(uint64_t size) {
  TRY(write_disk_size(*files_.image, size));
  TRY(files_.image->sync());
  const Range cut{size, disk_size_ - size};
  disk_size_ = size;
  TRY(zero_in_last_cluster(size));
  TRY(clear(cut, false));
  // The second one writes what the first one freed.
  TRY(flush(true));
  return flush(false);
}

// The new table is durable before the header names it.
Result<void> Changes::grow_l1(uint64_t entries) {
  if (entries <= l1_.entries()) return {};
  TRY(flush(true));
  const uint64_t per_cluster = shape_.cluster_size() / sizeof(be64);
  const uint64_t clusters = div_up(entries, per_cluster);
  const Table old = l1_.where();
  const Table table{TRY(allocator_.take(clusters)) << shape_.cluster_bits, entries};
  std::vector<be64> words(clusters * per_cluster);
  for (uint64_t i = 0; i < old.entries; ++i) words[i] = TRY(l1_.entry(i));
  TRY(files_.image->write(table.offset, std::as_bytes(std::span(words))));
  TRY(order_.flush());
  // Durable with the next flush, before an entry that only the new table has.
  TRY(write_l1_place(*files_.image, table));
  l1_.moved(table);
  const Range old_bytes{old.offset, align_up(old.entries * sizeof(be64), shape_.cluster_size())};
  metadata_.remove(old_bytes);
  metadata_.add({table.offset, entries * sizeof(be64)}, MetadataMap::Kind::l1_table);
  for (uint64_t at = old_bytes.offset; at < old_bytes.end(); at += shape_.cluster_size()) {
    allocator_.dropped(at >> shape_.cluster_bits);
  }
  return {};
}

// What a cluster has behind the disk's end is nobody's, and may be anything in an image that
// another program shrank. Only in a cluster that is the image's alone can it come to light.
Result<void> Changes::zero_in_last_cluster(uint64_t from) {
  const uint64_t end = align_up(from, shape_.cluster_size());
  while (from < end) {
    const Place place = place_of(from);
    const uint64_t l1_entry = TRY(l1_.entry(place.l1_index));
    if ((l1_entry & kOffsetMask) == 0) return {};
    const L2Entry entry = TRY(entry_at(l1_entry & kOffsetMask, place.l2_index));
    const Allocation found = decode(shape_, entry, from - place.cluster);
    if (found.kind == Allocation::Kind::invalid) return {};
    if (found.kind == Allocation::Kind::data && found.owned) {
      std::vector<std::byte> zeroes(found.length);
      const DataCipher& data = files_.cipher;
      if (data.cipher != nullptr) {
        TRY(data.cipher->encrypt(data.tweak(from, found.host), zeroes));
      }
      TRY(files_.data->write(found.host, zeroes));
      data_reaches(found.host + found.length);
    }
    from += found.length;
  }
  return {};
}

// The range points at nothing, or is zero whatever a backing file has. It begins at the first
// (sub)cluster behind range.offset.
Result<void> Changes::clear(const Range& range, bool zero) {
  const uint64_t unit =
      shape_.extended ? shape_.cluster_size() / kSubclusters : shape_.cluster_size();
  const uint64_t end = align_up(range.end(), shape_.cluster_size());
  for (uint64_t at = align_up(range.offset, unit); at < end;) {
    const Place place = place_of(at);
    const uint64_t table_start = align_down(at, shape_.table_span());
    if (place.l1_index >= l1_.entries()) return {};
    const bool there = (TRY(l1_.entry(place.l1_index)) & kOffsetMask) != 0;
    if (!zero && (!there || at == table_start)) {
      if (there) TRY(drop_table(place.l1_index));
      at = table_start + shape_.table_span();
      continue;
    }
    const uint64_t cluster_end = place.cluster + shape_.cluster_size();
    TRY(clear_cluster(place, {at - place.cluster, cluster_end - at}, zero));
    if (wants_flush()) TRY(flush(true));
    at = cluster_end;
  }
  return {};
}

// part: in bytes from the cluster's start.
Result<void> Changes::clear_cluster(const Place& place, const Range& part, bool zero) {
  const uint64_t l2 = TRY(own_l2(place.l1_index));
  const L2Entry old = TRY(entry_at(l2, place.l2_index));
  const bool whole = part.length == shape_.cluster_size();
  L2Entry now;
  // What is behind the end in a cluster the disk ends in reads as zeroes from here on.
  if (zero || !whole) now = after_zero(shape_, old, part, File::Zero::free_space);
  if (now == old) return {};
  TRY(store_entry(l2, place, now));
  if (held_by(shape_, now).empty()) drop(old);
  return {};
}

// Each of its clusters counts this state of the disk, whether a snapshot has the table, too, or
// not.
Result<void> Changes::drop_table(uint64_t l1_index) {
  const uint64_t l2 = TRY(l1_.entry(l1_index)) & kOffsetMask;
  for (uint64_t i = 0; i < uint64_t{1} << shape_.table_bits(); ++i) {
    drop(TRY(entry_at(l2, i)));
  }
  TRY(l1_.store(l1_index, 0));
  metadata_.remove({l2, shape_.cluster_size()});
  allocator_.dropped(l2 >> shape_.cluster_bits);
  return {};
}

// A raw data file is the disk by itself: all of it is allocated, so that nothing else ever decides
// what it reads as.
Result<void> Changes::allocate_in_data_file(const Range& range) {
  for (uint64_t at = align_down(range.offset, shape_.cluster_size()); at < range.end();
       at += shape_.cluster_size()) {
    const Place place = place_of(at);
    const uint64_t l2 = TRY(own_l2(place.l1_index));
    const L2Entry old = TRY(entry_at(l2, place.l2_index));
    TRY(store_entry(l2, place, after_write(shape_, old, at, {0, shape_.cluster_size()})));
    if (wants_flush()) TRY(flush(true));
  }
  return {};
}

}  // namespace platter::qcow2
