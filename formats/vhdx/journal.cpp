// A change goes in five steps, each durable before the next: one entry at the start of the log,
// with a GUID of its own, which no header names yet; a header that names it, and from here on the
// change is there, whatever happens; the pages in their places; a header with an empty log. So a
// header never names a log without a valid entry, and between two changes the file is clean for
// everybody.
#include "formats/vhdx/journal.h"

#include <algorithm>
#include <cassert>

#include "lib/base/checked.h"
#include "lib/base/crc32c.h"

namespace platter::vhdx {
namespace {

constexpr uint64_t kMaxRun = MiB;

std::vector<std::byte> encode_entry(const Table::Pages& pages, const Uuid& log,
                                    uint64_t file_size) {
  constexpr uint64_t kSequence = 1;
  const uint64_t descriptor_bytes =
      align_up(sizeof(LogEntryHeader) + pages.size() * sizeof(LogDescriptor), kLogSector);
  std::vector<std::byte> out(descriptor_bytes + pages.size() * kLogSector);
  LogEntryHeader header;
  header.signature = kLogEntrySignature;
  header.length = static_cast<uint32_t>(out.size());
  header.sequence = kSequence;
  header.descriptors = static_cast<uint32_t>(pages.size());
  header.log_guid = log.to_microsoft();
  header.flushed_offset = file_size;
  header.last_offset = file_size;
  store(out, 0, header);
  std::vector<std::byte> page(kLogSector);
  for (size_t i = 0; i < pages.size(); ++i) {
    std::fill(std::copy(pages[i].bytes.begin(), pages[i].bytes.end(), page.begin()), page.end(),
              std::byte{0});
    LogDescriptor descriptor;
    descriptor.signature = kDataDescriptorSignature;
    descriptor.leading = load<le64>(page);
    descriptor.trailing = load<le32>(page, page.size() - sizeof(le32));
    descriptor.offset = pages[i].offset;
    descriptor.sequence = kSequence;
    store(out, sizeof header + i * sizeof descriptor, descriptor);
    LogDataSector sector;
    sector.signature = kDataSectorSignature;
    sector.sequence_low = kSequence;
    std::copy_n(page.begin() + sizeof descriptor.leading, sector.data.size(), sector.data.begin());
    store(out, descriptor_bytes + i * kLogSector, sector);
  }
  store(out, offsetof(LogEntryHeader, checksum), le32(crc32c(out)));
  return out;
}

}  // namespace

Header Journal::header() const {
  const MutexLock lock(mutex_);
  return headers_.current;
}

Result<void> Journal::write_log(const Table::Pages& pages, const Uuid& log, uint64_t file_size) {
  const std::vector<std::byte> entry = encode_entry(pages, log, file_size);
  assert(entry.size() <= headers_.current.log_space.length);
  TRY(file_->write(headers_.current.log_space.offset, entry));
  return file_->sync();
}

Result<void> Journal::open_log(Header header, const Uuid& log) {
  header.log = log;
  header.log_version = 0;
  // Until it is known to be durable it is not the current one.
  Headers next = headers_;
  perhaps_open_ = true;
  TRY(write_header(*file_, next, header));
  TRY(file_->sync());
  headers_ = next;
  perhaps_open_ = false;
  return {};
}

// Neighbours go in one call.
Result<void> Journal::write_in_place() {
  std::vector<std::byte> run;
  for (size_t i = 0; i < pending_->size();) {
    const uint64_t offset = (*pending_)[i].offset;
    run.clear();
    for (; i < pending_->size() && offset + run.size() == (*pending_)[i].offset; ++i) {
      if (run.size() >= kMaxRun) break;
      append(run, (*pending_)[i].bytes);
    }
    TRY(file_->write(offset, run));
  }
  return file_->sync();
}

Result<void> Journal::close_log() {
  Header clean = headers_.current;
  clean.log = Uuid{};
  Headers next = headers_;
  TRY(write_header(*file_, next, clean));
  headers_ = next;
  pending_.reset();
  return {};
}

// What an earlier change left that failed: the log is not written before no header can name it.
Result<void> Journal::settle() {
  if (pending_) {
    TRY(write_in_place());
    TRY(close_log());
    TRY(file_->sync());
  }
  if (perhaps_open_) {
    Headers next = headers_;
    TRY(write_header(*file_, next, headers_.current));
    TRY(file_->sync());
    headers_ = next;
    perhaps_open_ = false;
  }
  return {};
}

Result<void> Journal::commit(const Table::Pages& pages, uint64_t file_size,
                             const std::optional<Header>& with) {
  assert(pages.size() <= kMostPages);
  const MutexLock lock(mutex_);
  TRY(settle());
  const Uuid log = Uuid::random();
  TRY(write_log(pages, log, file_size));
  TRY(open_log(with.value_or(headers_.current), log));
  pending_ = pages;
  TRY(write_in_place());
  return close_log();
}

Result<void> Journal::replace_header(const Header& header) {
  const MutexLock lock(mutex_);
  TRY(settle());
  return write_both_headers(*file_, headers_, header);
}

Result<void> PagePatch::put(uint64_t offset, Bytes bytes) {
  while (!bytes.empty()) {
    const uint64_t at = align_down(offset, kLogSector);
    const size_t n = std::min<uint64_t>(bytes.size(), at + kLogSector - offset);
    auto found = pages_.find(at);
    if (found == pages_.end()) {
      std::vector<std::byte> page(kLogSector);
      TRY(file_.read_padded(at, page));
      found = pages_.emplace(at, std::move(page)).first;
    }
    std::copy_n(bytes.begin(), n, found->second.begin() + static_cast<long>(offset - at));
    offset += n;
    bytes = bytes.subspan(n);
  }
  return {};
}

Table::Pages PagePatch::pages() const {
  Table::Pages pages;
  for (const auto& [at, bytes] : pages_) pages.push_back({at, bytes});
  return pages;
}

}  // namespace platter::vhdx
