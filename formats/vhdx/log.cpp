// The log is a ring of 4 KiB sectors. An entry is valid by itself: checksum, GUID, its sequence
// number in all of its parts. Entries that follow one another in place and number are a sequence,
// valid when the tail its last one names is one of them; the one that counts has the largest last
// number. All of its entries from that tail on are replayed.
#include "formats/vhdx/log.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/base/crc32c.h"

namespace platter::vhdx {
namespace {

// No file is larger: the largest disk in the smallest blocks, with its tables, and as much again.
constexpr uint64_t kMaxFile = 2 * kMaxDiskSize + 1024 * GiB;

constexpr uint64_t kInFirstSector = 126, kInSector = 128;  // descriptors

uint64_t descriptor_sectors(uint64_t descriptors) { return div_up(descriptors + 2, kInSector); }

struct LogEntry {
  uint64_t at = 0;  // bytes from the start of the log
  LogEntryHeader header;
};

using LogSector = std::array<std::byte, kLogSector>;

class LogReader {
 public:
  LogReader(const File& file, const Header& header)
      : file_(file), header_(header), size_(header.log_space.length), budget_(4 * size_) {}

  Result<std::vector<LogEntry>> active_sequence();
  Result<void> take_writes(const LogEntry& entry, std::vector<LogWrite>& writes);

 private:
  uint64_t place(uint64_t at) const { return header_.log_space.offset + at % size_; }
  Result<void> read_sector(uint64_t at, LogSector& sector) {
    return file_.read_padded(place(at), sector);
  }
  // Empty: there is none.
  Result<std::optional<LogEntry>> entry_at(uint64_t at);
  bool is_possible(const LogEntryHeader& h) const;
  Result<bool> is_whole(const LogEntry& entry);
  // data: sectors of data the descriptors so far want.
  static bool descriptors_are_right(const LogSector& sector, const LogEntryHeader& h,
                                    uint64_t index, uint64_t& data);
  Result<std::vector<LogEntry>> sequence_from(uint64_t tail);

  const File& file_;
  const Header& header_;
  const uint64_t size_;  // of the log, bytes
  uint64_t budget_;      // bytes that may yet be looked at: entries of a real log do not overlap
};

bool LogReader::is_possible(const LogEntryHeader& h) const {
  const uint64_t sectors = h.length / kLogSector;
  return h.signature == kLogEntrySignature && h.length != 0 && h.length % kLogSector == 0 &&
         h.length <= size_ && h.tail % kLogSector == 0 && h.tail < size_ && h.sequence != 0 &&
         Uuid::from_microsoft(h.log_guid) == header_.log &&
         descriptor_sectors(h.descriptors) <= sectors;
}

bool LogReader::descriptors_are_right(const LogSector& sector, const LogEntryHeader& h,
                                      uint64_t index, uint64_t& data) {
  const uint64_t done = index == 0 ? 0 : kInFirstSector + (index - 1) * kInSector;
  const uint64_t here = std::min(h.descriptors - done, index == 0 ? kInFirstSector : kInSector);
  const size_t from = index == 0 ? sizeof(LogEntryHeader) : 0;
  for (size_t i = 0; i < here; ++i) {
    const auto d = load<LogDescriptor>(sector, from + i * sizeof(LogDescriptor));
    if (d.sequence != h.sequence || d.offset % kLogSector != 0) return false;
    if (d.signature == kDataDescriptorSignature) {
      ++data;
    } else if (d.signature != kZeroDescriptorSignature || d.leading % kLogSector != 0) {
      return false;
    }
  }
  return true;
}

Result<bool> LogReader::is_whole(const LogEntry& entry) {
  const LogEntryHeader& h = entry.header;
  const uint64_t sectors = h.length / kLogSector;
  const uint64_t descriptors = descriptor_sectors(h.descriptors);
  uint64_t data = 0;
  uint32_t crc = 0;
  LogSector sector;
  for (uint64_t i = 0; i < sectors; ++i) {
    TRY(read_sector(entry.at + i * kLogSector, sector));
    if (i == 0) store(sector, offsetof(LogEntryHeader, checksum), le32(0));
    crc = crc32c(sector, crc);
    if (i < descriptors) {
      if (!descriptors_are_right(sector, h, i, data)) return false;
    } else if (i - descriptors < data) {
      const auto d = load<LogDataSector>(sector);
      if (d.signature != kDataSectorSignature || d.sequence_high != h.sequence >> 32 ||
          d.sequence_low != (h.sequence & 0xffffffff)) {
        return false;
      }
    }
    if (i + 1 == descriptors && data > sectors - descriptors) return false;
  }
  return crc == h.checksum;
}

Result<std::optional<LogEntry>> LogReader::entry_at(uint64_t at) {
  LogEntry entry{.at = at % size_};
  TRY(file_.read_padded(place(at), std::as_writable_bytes(std::span(&entry.header, 1))));
  if (!is_possible(entry.header)) return std::optional<LogEntry>();
  if (entry.header.length > budget_) return Error(Errc::corrupt, "log: its entries overlap");
  budget_ -= entry.header.length;
  return TRY(is_whole(entry)) ? std::optional(entry) : std::nullopt;
}

// Once around the ring at most.
Result<std::vector<LogEntry>> LogReader::sequence_from(uint64_t tail) {
  std::vector<LogEntry> run;
  uint64_t length = 0;
  while (const auto entry = TRY(entry_at(tail + length))) {
    const LogEntryHeader& h = entry->header;
    if (!run.empty() && h.sequence != run.back().header.sequence + 1) break;
    if (h.length > size_ - length) break;
    run.push_back(*entry);
    length += h.length;
    if (length == size_) break;
  }
  return run;
}

Result<std::vector<LogEntry>> LogReader::active_sequence() {
  std::vector<LogEntry> best;
  for (uint64_t tail = 0; tail < size_;) {
    std::vector<LogEntry> run = TRY(sequence_from(tail));
    if (run.empty()) {
      tail += kLogSector;
      continue;
    }
    uint64_t length = 0;
    for (const LogEntry& entry : run) length += entry.header.length;
    tail += length;
    // From where its last entry says: the others are done with. Without that one none of them
    // counts, nor does a sequence of fewer of them.
    const auto first = std::find_if(run.begin(), run.end(), [&](const LogEntry& entry) {
      return entry.at == run.back().header.tail;
    });
    if (first == run.end()) continue;
    if (!best.empty() && best.back().header.sequence >= run.back().header.sequence) continue;
    best.assign(first, run.end());
  }
  return best;
}

Result<void> LogReader::take_writes(const LogEntry& entry, std::vector<LogWrite>& writes) {
  const LogEntryHeader& h = entry.header;
  uint64_t data = entry.at + descriptor_sectors(h.descriptors) * kLogSector;
  LogSector sector;
  for (uint64_t i = 0; i < h.descriptors; ++i) {
    const uint64_t slot = i + 2;  // the header takes as much as two descriptors
    if (i == 0 || slot % kInSector == 0) {
      TRY(read_sector(entry.at + slot / kInSector * kLogSector, sector));
    }
    const auto d = load<LogDescriptor>(sector, slot % kInSector * sizeof(LogDescriptor));
    const bool zero = d.signature == kZeroDescriptorSignature;
    const uint64_t length = zero ? uint64_t{d.leading} : kLogSector;
    if (length == 0) continue;
    if (d.offset < kRegionTablesAt[0] || !fits(d.offset, length, kMaxFile) ||
        !intersect({d.offset, length}, header_.log_space).empty()) {
      return Error(Errc::corrupt,
                   fmt::format("log: an entry writes {} bytes at {}", length, uint64_t{d.offset}));
    }
    writes.push_back({.to = {d.offset, length},
                      .zero = zero,
                      .sector = zero ? 0 : place(data),
                      .leading = d.leading,
                      .trailing = d.trailing});
    if (!zero) data += kLogSector;
  }
  return {};
}

Result<void> check_sizes(const LogReplay& replay, uint64_t file_size) {
  if (file_size < replay.flushed) {
    return Error(Errc::corrupt,
                 fmt::format("truncated: the file has {} bytes, its log was written when it had {}",
                             file_size, replay.flushed));
  }
  if (replay.last > kMaxFile) {
    return Error(Errc::corrupt, fmt::format("log: a file of {} bytes", replay.last));
  }
  // What an entry writes has its place in the file it is for.
  const uint64_t end = align_up(std::max(file_size, replay.last), kUnit);
  for (const LogWrite& write : replay.writes) {
    if (write.to.end() <= end) continue;
    return Error(Errc::corrupt,
                 fmt::format("log: an entry writes {} bytes at {}, past the end of the file",
                             write.to.length, write.to.offset));
  }
  return {};
}

}  // namespace

Result<LogReplay> read_log(const File& file, const Header& header) {
  const uint64_t size = TRY(file.stat()).size;
  if (!fits(header.log_space.offset, header.log_space.length, size)) {
    return Error(Errc::corrupt, "truncated: the log ends past the end of the file");
  }
  LogReader reader(file, header);
  const std::vector<LogEntry> entries = TRY(reader.active_sequence());
  if (entries.empty()) {
    return Error(Errc::corrupt, "log: is not empty, and has no valid entry: changes are lost");
  }
  LogReplay replay;
  replay.flushed = entries.back().header.flushed_offset;
  replay.last = entries.back().header.last_offset;
  for (const LogEntry& entry : entries) TRY(reader.take_writes(entry, replay.writes));
  TRY(check_sizes(replay, size));
  return replay;
}

Result<void> read_log_page(const File& file, const LogWrite& write, MutableBytes page) {
  const auto sector = TRY(file.read_struct<LogDataSector>(write.sector));
  store(page, 0, write.leading);
  std::copy(sector.data.begin(), sector.data.end(), page.begin() + sizeof write.leading);
  store(page, page.size() - sizeof write.trailing, write.trailing);
  return {};
}

}  // namespace platter::vhdx
