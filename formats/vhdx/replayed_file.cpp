#include "formats/vhdx/replayed_file.h"

#include <cstring>

#include "lib/base/checked.h"

namespace platter::vhdx {
namespace {

Error only_read(const std::string& name) {
  return {Errc::read_only, name + ": its log is replayed in memory only"};
}

uint64_t size_after(const LogReplay& replay, uint64_t file_size) {
  uint64_t size = std::max(file_size, replay.last);
  for (const LogWrite& write : replay.writes) size = std::max(size, write.to.end());
  return size;
}

Result<void> zero_in_file(File& file, const Range& range) {
  if (range.empty()) return {};
  if (TRY(file.make_zero(range, File::Zero::free_space))) return {};
  const std::vector<std::byte> zeroes(std::min(range.length, MiB));
  for (uint64_t at = range.offset; at < range.end(); at += zeroes.size()) {
    TRY(file.write(at, Bytes(zeroes).first(std::min<uint64_t>(zeroes.size(), range.end() - at))));
  }
  return {};
}

}  // namespace

ReplayedFile::ReplayedFile(FilePtr file, const LogReplay& replay, uint64_t file_size)
    : file_(std::move(file)), file_size_(file_size), size_(size_after(replay, file_size)) {
  for (const LogWrite& write : replay.writes) put(write);
}

// Only zeroes are longer than a page: what is cut is one of those.
void ReplayedFile::put(const LogWrite& write) {
  const Range to = write.to;
  auto at = pieces_.upper_bound(to.offset);
  if (at != pieces_.begin()) --at;
  while (at != pieces_.end() && at->first < to.end()) {
    const LogWrite old = at->second;
    if (old.to.end() <= to.offset) {
      ++at;
      continue;
    }
    at = pieces_.erase(at);
    if (old.to.offset < to.offset) {
      LogWrite before = old;
      before.to.length = to.offset - old.to.offset;
      pieces_.emplace(before.to.offset, before);
    }
    if (old.to.end() > to.end()) {
      LogWrite behind = old;
      behind.to = {to.end(), old.to.end() - to.end()};
      pieces_.emplace(behind.to.offset, behind);
    }
  }
  pieces_[to.offset] = write;
}

const LogWrite* ReplayedFile::piece_at(uint64_t offset, uint64_t& next) const {
  auto at = pieces_.upper_bound(offset);
  next = at == pieces_.end() ? size_ : at->first;
  if (at == pieces_.begin()) return nullptr;
  --at;
  return at->second.to.contains(offset) ? &at->second : nullptr;
}

Result<FileStat> ReplayedFile::stat() const {
  FileStat stat = TRY(file_->stat());
  stat.size = size_;
  return stat;
}

Result<void> ReplayedFile::write(uint64_t /*offset*/, Bytes /*data*/) { return only_read(name()); }
Result<void> ReplayedFile::resize(uint64_t /*size*/) { return only_read(name()); }

Result<size_t> ReplayedFile::read_some(uint64_t offset, MutableBytes out) const {
  if (offset >= size_) return size_t{0};
  uint64_t next = 0;
  const LogWrite* piece = piece_at(offset, next);
  const uint64_t end = piece == nullptr ? std::min(next, size_) : piece->to.end();
  const MutableBytes part = out.first(std::min<uint64_t>(out.size(), end - offset));
  if (piece == nullptr) {
    TRY(file_->read_padded(offset, part));
  } else if (piece->zero) {
    std::memset(part.data(), 0, part.size());
  } else {
    std::array<std::byte, kLogSector> page;
    TRY(read_log_page(*file_, *piece, page));
    std::memcpy(part.data(), page.data() + (offset - piece->to.offset), part.size());
  }
  return part.size();
}

Result<File::Run> ReplayedFile::run_at(uint64_t offset) const {
  if (offset >= size_) return past_the_end(offset);
  uint64_t next = 0;
  if (const LogWrite* piece = piece_at(offset, next)) return Run{piece->to, !piece->zero};
  const Range rest{offset, next - offset};
  if (offset >= file_size_) return Run{rest, false};
  Run run = TRY(file_->run_at(offset));
  run.range = intersect(run.range, rest);
  return run;
}

const std::byte* ReplayedFile::kernel_view(const Range& range) const {
  uint64_t next = 0;
  if (!fits(range.offset, range.length, file_size_)) return nullptr;
  if (piece_at(range.offset, next) != nullptr || next < range.end()) return nullptr;
  return file_->kernel_view(range);
}

Result<void> replay_on_disk(File& file, Headers& headers, const LogReplay& replay) {
  const uint64_t before = TRY(file.stat()).size;
  const uint64_t after = align_up(size_after(replay, before), kUnit);
  if (after > before) TRY(file.resize(after));
  std::array<std::byte, kLogSector> page;
  for (const LogWrite& write : replay.writes) {
    if (write.zero) {
      TRY(zero_in_file(file, intersect(write.to, {0, after})));
    } else {
      TRY(read_log_page(file, write, page));
      TRY(file.write(write.to.offset, page));
    }
  }
  TRY(file.sync());
  Header clean = headers.current;
  clean.log = Uuid{};
  return write_both_headers(file, headers, clean);
}

}  // namespace platter::vhdx
