// A sector that is half old and half new decrypts to neither. The host may show such a one to who
// reads it while it is written; so writers leave a trace in memory, and readers that see it read
// again.
#include "lib/container/guest_bytes.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

namespace platter {
namespace {

constexpr uint64_t kSector = Cipher::kSector;
constexpr uint64_t kPiece = 64 * KiB;  // of a file: what has one trace

// How many writes of pieces with this trace have begun and ended.
struct alignas(64) Trace {
  std::atomic<uint64_t> begun{0}, ended{0};
};

Trace& trace_of(const File& file, uint64_t host) {
  static std::array<Trace, 256> traces;
  const uint64_t piece = host / kPiece + reinterpret_cast<uintptr_t>(&file) / 64;
  return traces[piece % traces.size()];
}

// The pieces of a write, from before it begins until it has ended.
class Writing {
 public:
  Writing(const File& file, const Range& host) : file_(file), host_(host) {
    for_each([](Trace& trace) { trace.begun.fetch_add(1); });
  }
  ~Writing() {
    for_each([](Trace& trace) { trace.ended.fetch_add(1); });
  }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;

 private:
  template <class Do>
  void for_each(Do&& act) {
    for (uint64_t at = align_down(host_.offset, kPiece); at < host_.end(); at += kPiece) {
      act(trace_of(file_, at));
    }
  }
  const File& file_;
  const Range host_;
};

// Sectors of one piece of the file; what it does not have is zero. Gives how many bytes it has.
Result<size_t> read_piece(const File& file, uint64_t host, MutableBytes out) {
  constexpr unsigned kYields = 64, kTries = 1064;  // from some 50 ms on nothing is waited for
  const Trace& trace = trace_of(file, host);
  size_t n = 0;
  for (unsigned i = 0; i < kTries; ++i) {
    const uint64_t ended = trace.ended.load();
    const uint64_t begun = trace.begun.load();
    n = TRY(file.read_available(host, out));
    if (begun == ended && trace.begun.load() == begun) break;
    if (i < kYields) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  if (n < out.size()) std::memset(out.data() + n, 0, out.size() - n);
  return n;
}

// The sectors from host on, encrypted. least: so many bytes the file must have there.
Result<void> read_sectors(const File& file, uint64_t host, MutableBytes out, uint64_t least) {
  for (uint64_t done = 0; done < out.size();) {
    const uint64_t at = host + done;
    const uint64_t n = std::min<uint64_t>(kPiece - at % kPiece, out.size() - done);
    const size_t got = TRY(read_piece(file, at, out.subspan(done, n)));
    // Says what is wrong, in the words of all reads.
    if (got < n && done + got < least) TRY(file.read_exact(host, out.first(least)));
    done += n;
  }
  return {};
}

// The sectors an encrypted extent lies in.
struct Sectors {
  uint64_t host;    // of the first
  uint64_t before;  // bytes of it that are not the extent's
  uint64_t length;  // of all of them
};
Sectors sectors_of(const Extent& extent) {
  const uint64_t before = extent.guest.offset % kSector;
  return {extent.host - before, before, align_up(before + extent.guest.length, kSector)};
}

Result<void> decrypt_sector(const Extent& extent, const Sectors& all, uint64_t at,
                            MutableBytes sector) {
  TRY(read_sectors(*extent.file, all.host + at, sector, 0));
  return extent.cipher->decrypt(extent.tweak + at, sector);
}

std::vector<std::byte>& scratch(uint64_t size) {
  thread_local std::vector<std::byte> bytes;
  if (bytes.size() < size) bytes.resize(size);
  return bytes;
}

}  // namespace

Result<void> read_data(const Extent& extent, MutableBytes out) {
  if (extent.cipher == nullptr) return extent.file->read_exact(extent.host, out);
  const Sectors all = sectors_of(extent);
  const uint64_t least = all.before + out.size();
  if (all.length == out.size()) {
    TRY(read_sectors(*extent.file, all.host, out, least));
    return extent.cipher->decrypt(extent.tweak, out);
  }
  const MutableBytes sectors = MutableBytes(scratch(all.length)).first(all.length);
  TRY(read_sectors(*extent.file, all.host, sectors, least));
  TRY(extent.cipher->decrypt(extent.tweak, sectors));
  std::memcpy(out.data(), sectors.data() + all.before, out.size());
  return {};
}

Result<void> overwrite(const Extent& extent, Bytes data) {
  if (extent.cipher == nullptr) return extent.file->write(extent.host, data);
  const Sectors all = sectors_of(extent);
  const MutableBytes sectors = MutableBytes(scratch(all.length)).first(all.length);
  const uint64_t last = all.length - kSector;
  const uint64_t end = all.before + data.size();
  if (all.before != 0 || (last == 0 && end % kSector != 0)) {
    TRY(decrypt_sector(extent, all, 0, sectors.first(kSector)));
  }
  if (last != 0 && end % kSector != 0) {
    TRY(decrypt_sector(extent, all, last, sectors.subspan(last)));
  }
  std::memcpy(sectors.data() + all.before, data.data(), data.size());
  TRY(extent.cipher->encrypt(extent.tweak, sectors));
  const Writing writing(*extent.file, {all.host, all.length});
  return extent.file->write(all.host, sectors);
}

}  // namespace platter
