#include "formats/qcow2/snapshot_table_write.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

void append(std::vector<std::byte>& out, Bytes bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

std::string next_id(const std::vector<Snapshot>& snapshots) {
  uint64_t largest = 0;
  for (const Snapshot& snapshot : snapshots) {
    const std::string& id = snapshot.info.format_id;
    uint64_t number = 0;
    const auto [end, fault] = std::from_chars(id.data(), id.data() + id.size(), number);
    const bool whole = fault == std::errc() && end == id.data() + id.size();
    if (whole && !snapshot.removed && number < ~uint64_t{0}) largest = std::max(largest, number);
  }
  return std::to_string(largest + 1);
}

uint64_t size_of(const TableEntry& entry) {
  return entry.from.empty() ? entry.bytes.size() : entry.from.length;
}

}  // namespace

NewEntry new_snapshot_entry(const NewSnapshot& snapshot, const std::vector<Snapshot>& others) {
  using namespace std::chrono;
  const auto now = system_clock::now().time_since_epoch();
  const auto seconds = duration_cast<std::chrono::seconds>(now);
  const auto rest = duration_cast<nanoseconds>(now - seconds);
  const std::string id = next_id(others);
  RawSnapshot raw;
  raw.l1_table_offset = snapshot.l1.offset;
  raw.l1_size = static_cast<uint32_t>(snapshot.l1.entries);
  raw.id_size = static_cast<uint16_t>(id.size());
  raw.name_size = static_cast<uint16_t>(snapshot.name.size());
  raw.date_sec = static_cast<uint32_t>(seconds.count());
  raw.date_nsec = static_cast<uint32_t>(rest.count());
  raw.extra_data_size = sizeof(RawSnapshotExtra);
  // No instruction counter: all ones.
  const RawSnapshotExtra extra{uint64_t{0}, snapshot.disk_size, ~uint64_t{0}};
  NewEntry made;
  append(made.bytes, as_bytes_of(raw));
  append(made.bytes, as_bytes_of(extra));
  append(made.bytes, std::as_bytes(std::span(id)));
  append(made.bytes, std::as_bytes(std::span(snapshot.name)));
  made.snapshot = {.info = {.id = others.size() + 1,
                            .format_id = id,
                            .name = std::string(snapshot.name),
                            .size = snapshot.disk_size,
                            .created_ns = duration_cast<nanoseconds>(now).count()},
                   .l1 = snapshot.l1};
  return made;
}

Result<TableEntry> renamed_entry(const File& file, const Range& entry, std::string_view name) {
  TableEntry renamed;
  auto raw = TRY(file.read_struct<RawSnapshot>(entry.offset));
  // All but the name at its end.
  renamed.bytes.resize(entry.length - uint64_t{raw.name_size});
  TRY(file.read_exact(entry.offset, renamed.bytes));
  raw.name_size = static_cast<uint16_t>(name.size());
  const Bytes fields = as_bytes_of(raw);
  std::copy(fields.begin(), fields.end(), renamed.bytes.begin());
  append(renamed.bytes, std::as_bytes(std::span(name)));
  return renamed;
}

Result<uint64_t> table_bytes(const std::vector<TableEntry>& entries) {
  uint64_t bytes = 0;
  for (const TableEntry& entry : entries) {
    bytes = align_up(bytes, 8) + size_of(entry);
    if (bytes > kMaxSnapshotTableBytes) {
      return Error(Errc::no_space, "snapshot table: is full");
    }
  }
  return bytes;
}

Result<void> write_snapshot_table(File& file, uint64_t offset,
                                  const std::vector<TableEntry>& entries) {
  std::vector<std::byte> out;
  uint64_t at = offset;
  const auto write = [&]() -> Result<void> {
    TRY(file.write(at, out));
    at += out.size();
    out.clear();
    return {};
  };
  for (const TableEntry& entry : entries) {
    out.resize(align_up(out.size(), 8));
    const size_t here = out.size();
    out.resize(here + size_of(entry));
    if (entry.from.empty()) {
      std::copy(entry.bytes.begin(), entry.bytes.end(), out.begin() + static_cast<long>(here));
    } else {
      TRY(file.read_exact(entry.from.offset, MutableBytes(out).subspan(here)));
    }
    // Whole words are written, so that what follows is aligned.
    if (out.size() > MiB) {
      out.resize(align_up(out.size(), 8));
      TRY(write());
    }
  }
  return write();
}

}  // namespace platter::qcow2
