#include "formats/qcow2/snapshot_table.h"

#include <fmt/format.h>

#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

constexpr int64_t kNanoseconds = 1000000000;

// Reads the table front to back. It lies inside the file and is at most 64 MiB.
class Reader {
 public:
  Reader(const File& file, const Header& header)
      : file_(file),
        header_(header),
        at_(header.snapshots_offset),
        end_(header.snapshots_offset +
             std::min(kMaxSnapshotTableBytes, header.file_size - header.snapshots_offset)) {}

  Result<Snapshot> next(SnapshotId id);
  // Where the one that was read last is.
  Range place() const { return {start_, at_ - start_}; }

 private:
  template <DiskStruct T>
  Result<T> take() {
    T value;
    TRY(take_bytes(std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  Result<void> take_bytes(MutableBytes out) {
    if (!fits(at_, out.size(), end_)) {
      return Error(Errc::corrupt, "past the end of the file, or the table is too large");
    }
    TRY(file_.read_exact(at_, out));
    at_ += out.size();
    return {};
  }
  Result<std::string> take_text(size_t size) {
    std::string text(size, '\0');
    TRY(take_bytes(std::as_writable_bytes(std::span(text))));
    return text;
  }
  Result<RawSnapshotExtra> take_extra(const RawSnapshot& raw);
  void take_l1(const RawSnapshot& raw, Snapshot& out) const;

  const File& file_;
  const Header& header_;
  uint64_t start_ = 0;
  uint64_t at_;
  uint64_t end_;
};

// Fields an entry does not have get the values they stand for.
Result<RawSnapshotExtra> Reader::take_extra(const RawSnapshot& raw) {
  const uint32_t size = raw.extra_data_size;
  if (size > kMaxSnapshotExtra) {
    return Error(Errc::corrupt, fmt::format("{} bytes of extra data", size));
  }
  if (header_.version >= 3 && size < offsetof(RawSnapshotExtra, icount)) {
    return Error(Errc::corrupt, fmt::format("only {} bytes of extra data", size));
  }
  std::vector<std::byte> bytes(std::max<size_t>(size, sizeof(RawSnapshotExtra)));
  TRY(take_bytes(MutableBytes(bytes).first(size)));
  auto extra = load<RawSnapshotExtra>(bytes);
  if (size < offsetof(RawSnapshotExtra, disk_size))
    extra.vm_state_size = uint64_t{raw.vm_state_size};
  if (size < offsetof(RawSnapshotExtra, icount)) extra.disk_size = header_.size;
  return extra;
}

// Checked now, complained of when it is read: a broken snapshot must not hide the disk.
void Reader::take_l1(const RawSnapshot& raw, Snapshot& out) const {
  if (raw.l1_size > kMaxL1Bytes / sizeof(be64)) {
    out.problem = fmt::format("L1 table: too large ({} entries)", uint32_t{raw.l1_size});
    return;
  }
  Result<Table> l1 = check_table("L1 table", raw.l1_table_offset, raw.l1_size, header_);
  if (!l1) {
    out.problem = l1.error().message();
    return;
  }
  out.l1 = *l1;
  const uint64_t per_l2 = header_.cluster_size() / (header_.extended_l2 ? 16 : 8);
  if (div_up(out.info.size, per_l2 * header_.cluster_size()) > l1->entries) {
    out.problem = fmt::format("L1 table: too small: {} entries for a disk of {} bytes", l1->entries,
                              out.info.size);
  }
}

Result<Snapshot> Reader::next(SnapshotId id) {
  start_ = at_ = align_up(at_, 8);
  const auto raw = TRY(take<RawSnapshot>());
  const RawSnapshotExtra extra = TRY(take_extra(raw));
  Snapshot out;
  out.info = {.id = id,
              .format_id = TRY(take_text(raw.id_size)),
              .name = TRY(take_text(raw.name_size)),
              .size = align_down(extra.disk_size, kSector),
              .vm_state = extra.vm_state_size,
              .created_ns = int64_t{raw.date_sec} * kNanoseconds + int64_t{raw.date_nsec}};
  take_l1(raw, out);
  // It may be anything where no table shows that there can be so much.
  if (!out.problem.empty()) out.info.size = 0;
  return out;
}

}  // namespace

Result<SnapshotTable> read_snapshot_table(const File& file, const Header& header) {
  SnapshotTable table;
  Reader reader(file, header);
  for (SnapshotId id = 1; id <= header.snapshots; ++id) {
    Result<Snapshot> next = reader.next(id);
    if (!next) {
      if (next.error().code() != Errc::corrupt) return std::move(next.error());
      table.fault = fmt::format("snapshot table entry {}: {}", id - 1, next.error().message());
      break;
    }
    table.list.push_back(*std::move(next));
    table.places.push_back(reader.place());
  }
  return table;
}

Result<std::vector<Snapshot>> parse_snapshots(const File& file, const Header& header) {
  SnapshotTable table = TRY(read_snapshot_table(file, header));
  if (!table.fault.empty()) return Error(Errc::corrupt, std::move(table.fault));
  return std::move(table.list);
}

}  // namespace platter::qcow2
