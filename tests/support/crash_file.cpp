#include "tests/support/crash_file.h"

#include <mutex>

namespace platter::test {
namespace {

constexpr uint64_t kSector = 512;

void copy(const File& from, File& to, uint64_t size) {
  std::vector<std::byte> buffer;
  for (uint64_t at = 0; at < size;) {
    const File::Run run = *from.run_at(at);
    const uint64_t length = std::min(run.range.end(), size) - at;
    if (run.data) {
      buffer.resize(length);
      (void)from.read_exact(at, buffer);
      (void)to.write(at, buffer);
    }
    at += length;
  }
  (void)to.resize(size);
}

// How much of what was not synced survives: a power cut is not evenly random.
double draw_survival(std::mt19937_64& random) {
  switch (random() % 4) {
    case 0: return 0;
    case 1: return 1;
    case 2: return 0.5;
    default: return std::uniform_real_distribution<>(0, 1)(random);
  }
}

}  // namespace

CrashFile::CrashFile(const File& contents) : CrashFile(contents.name()) {
  const uint64_t size = contents.stat()->size;
  copy(contents, now_, size);
  durable_.become(now_);
}

Result<void> CrashFile::apply(File& file, const Change& change) {
  return change.data.empty() ? file.resize(change.offset) : file.write(change.offset, change.data);
}

Result<void> CrashFile::write(uint64_t offset, Bytes data) {
  const std::unique_lock lock(mutex_);
  TRY(now_.write(offset, data));
  if (!data.empty()) pending_.push_back({offset, {data.begin(), data.end()}});
  return {};
}

Result<void> CrashFile::resize(uint64_t size) {
  const std::unique_lock lock(mutex_);
  TRY(now_.resize(size));
  pending_.push_back({size, {}});
  return {};
}

Result<void> CrashFile::sync() {
  const std::unique_lock lock(mutex_);
  for (const Change& change : pending_) TRY(apply(durable_, change));
  pending_.clear();
  return {};
}

Result<bool> CrashFile::make_zero(const Range& range, Zero /*how*/) {
  // A hole cannot make the file longer.
  const Range inside = intersect(range, {0, TRY(stat()).size});
  TRY(write(inside.offset, std::vector<std::byte>(inside.length)));
  return true;
}

size_t CrashFile::unsynced() const {
  const std::shared_lock lock(mutex_);
  return pending_.size();
}

std::shared_ptr<MemoryFile> CrashFile::crash(std::mt19937_64& random) const {
  const std::shared_lock lock(mutex_);
  auto after = std::make_shared<MemoryFile>(name_);
  after->become(durable_);
  const double survival = draw_survival(random);
  const auto survives = [&] { return std::uniform_real_distribution<>(0, 1)(random) < survival; };
  for (const Change& change : pending_) {
    if (change.data.empty()) {
      if (survives()) (void)after->resize(change.offset);
      continue;
    }
    const Bytes data(change.data);
    for (size_t at = 0; at < data.size();) {
      const uint64_t offset = change.offset + at;
      const size_t n = std::min<uint64_t>(kSector - offset % kSector, data.size() - at);
      if (survives()) (void)after->write(offset, data.subspan(at, n));
      at += n;
    }
  }
  return after;
}

}  // namespace platter::test
