#include "formats/qcow2/pointers.h"

#include <optional>

#include "formats/qcow2/bitmaps.h"
#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

constexpr uint64_t kWordsAtOnce = 8192;  // entries read at once

class Visiting {
 public:
  Visiting(File& file, const CheckedImage& image, const VisitPointer& visit)
      : file_(file), image_(image), header_(image.header), visit_(visit) {}

  Result<void> data();
  Result<void> l2_tables();
  Result<void> tables();
  Result<void> directories();
  Result<void> refcount_blocks();

 private:
  // A pointer of its own, at some place of the file.
  Result<void> word_at(uint64_t at, const Range& place);
  // Pointers to clusters side by side.
  Result<void> words_of(const Table& table);
  Result<void> l2_entries(const L2Use& use, L2Entries& entries);
  Result<void> for_each_bitmap_table(const std::function<Result<void>(const BitmapEntry&)>& visit);
  Result<std::optional<uint64_t>> bitmap_extension() const;

  File& file_;
  const CheckedImage& image_;
  const Header& header_;
  const VisitPointer& visit_;
};

Result<void> Visiting::word_at(uint64_t at, const Range& place) {
  PointerTo pointer{.place = place};
  TRY(visit_(pointer));
  if (pointer.down == 0) return {};
  const uint64_t word = TRY(file_.read_struct<be64>(at));
  return file_.write(at, as_bytes_of(be64(word - pointer.down)));
}

Result<void> Visiting::words_of(const Table& table) {
  for (uint64_t first = 0; first < table.entries; first += kWordsAtOnce) {
    std::vector<be64> words(std::min(kWordsAtOnce, table.entries - first));
    const uint64_t at = table.offset + first * sizeof(be64);
    if (!TRY(read_table(file_, at, std::as_writable_bytes(std::span(words))))) continue;
    Range changed;
    for (uint64_t i = 0; i < words.size(); ++i) {
      if ((words[i] & kOffsetMask) == 0) continue;
      PointerTo pointer{.place = {words[i] & kOffsetMask, header_.cluster_size()}};
      TRY(visit_(pointer));
      if (pointer.down == 0) continue;
      words[i] = words[i] - pointer.down;
      changed = hull(changed, {i, 1});
    }
    if (changed.empty()) continue;
    TRY(file_.write(at + changed.offset * sizeof(be64),
                    std::as_bytes(std::span(words).subspan(changed.offset, changed.length))));
  }
  return {};
}

// The offset of a cluster, and of a stream, is in the low bits of an entry.
Result<void> Visiting::l2_entries(const L2Use& use, L2Entries& entries) {
  const L2Shape shape = shape_of(header_);
  for (uint64_t i = 0; i < entries.size(); ++i) {
    const L2Entry entry = entries[i];
    if (entry.word == 0) continue;
    const L2Check checked =
        check_entry(shape, entry, {.file_size = header_.file_size, .active = true});
    if (checked.held.empty()) continue;
    PointerTo pointer{.place = checked.held, .uses = use.uses, .is_disk = checked.flagged};
    TRY(visit_(pointer));
    if (pointer.down != 0) entries.set(i, {entry.word - pointer.down, entry.bitmap});
  }
  return {};
}

Result<void> Visiting::for_each_bitmap_table(
    const std::function<Result<void>(const BitmapEntry&)>& visit) {
  if (header_.bitmaps == 0) return {};
  const auto each = [&](const BitmapEntry& entry) -> Result<bool> {
    TRY(visit(entry));
    return true;
  };
  TRY(for_each_bitmap(file_, header_, each));
  return {};
}

Result<void> Visiting::data() {
  TableWalk walk(file_, header_, image_.snapshots.list);
  const auto table = [&](const L2Use& use, L2Entries& entries) { return l2_entries(use, entries); };
  TRY(walk.for_each_l2(table));
  return for_each_bitmap_table([&](const BitmapEntry& entry) {
    return words_of({entry.raw.table_offset, entry.raw.table_size});
  });
}

Result<void> Visiting::l2_tables() {
  TableWalk walk(file_, header_, image_.snapshots.list);
  const auto each = [&](const L1Place&, uint64_t, uint64_t& word) -> Result<void> {
    PointerTo pointer{.place = {word & kOffsetMask, header_.cluster_size()}};
    TRY(visit_(pointer));
    word -= pointer.down;
    return {};
  };
  return walk.for_each_l1_entry(each);
}

Result<void> Visiting::tables() {
  TRY(word_at(offsetof(RawHeader, l1_table_offset), header_.l1.place()));
  TRY(word_at(offsetof(RawHeader, refcount_table_offset), header_.refcount_table.place()));
  for (size_t i = 0; i < image_.snapshots.list.size(); ++i) {
    const Table& l1 = image_.snapshots.list[i].l1;
    const uint64_t entry = image_.snapshots.places[i].offset;
    if (l1.entries == 0) continue;
    TRY(word_at(entry + offsetof(RawSnapshot, l1_table_offset), l1.place()));
  }
  return for_each_bitmap_table([&](const BitmapEntry& entry) {
    const Table table{entry.raw.table_offset, entry.raw.table_size};
    return word_at(entry.offset + offsetof(RawBitmapEntry, table_offset), table.place());
  });
}

// Where the header names the bitmap directory. The header was parsed: extensions are inside it.
Result<std::optional<uint64_t>> Visiting::bitmap_extension() const {
  using Place = std::optional<uint64_t>;
  const uint64_t end = std::min(header_.cluster_size(), header_.file_size);
  for (uint64_t at = header_.header_length; fits(at, sizeof(RawExtension), end);) {
    const auto head = TRY(file_.read_struct<RawExtension>(at));
    if (head.type == static_cast<uint32_t>(ExtensionType::end)) break;
    at += sizeof head;
    // One that might lie in two sectors is not changed.
    if (head.type == static_cast<uint32_t>(ExtensionType::bitmaps)) {
      return at % sizeof(be64) == 0 ? Place(at + offsetof(RawBitmaps, directory_offset)) : Place();
    }
    at = align_up(at + head.length, 8);
  }
  return Place();
}

Result<void> Visiting::directories() {
  if (!image_.snapshots.list.empty()) {
    TRY(word_at(offsetof(RawHeader, snapshots_offset), image_.snapshots.place()));
  }
  if (header_.bitmaps == 0 || header_.bitmap_directory.entries == 0) return {};
  const auto at = TRY(bitmap_extension());
  return at ? word_at(*at, header_.bitmap_directory.place()) : Result<void>();
}

Result<void> Visiting::refcount_blocks() { return words_of(header_.refcount_table); }

}  // namespace

Result<void> for_each_pointer(File& file, const CheckedImage& image, Placed what,
                              const VisitPointer& visit) {
  Visiting visiting(file, image, visit);
  switch (what) {
    case Placed::data: return visiting.data();
    case Placed::l2_table: return visiting.l2_tables();
    case Placed::table: return visiting.tables();
    case Placed::directory: return visiting.directories();
    case Placed::refcount_block: break;
  }
  return visiting.refcount_blocks();
}

}  // namespace platter::qcow2
