#include "lib/container/read_cache.h"

#include <cstring>

#include "lib/base/log.h"
#include "lib/container/extent_walk.h"

namespace platter {
namespace {

constexpr uint64_t kMaxStep = 512 * KiB;  // held at once
constexpr auto kRelaxed = std::memory_order_relaxed;

std::vector<std::byte>& scratch_of(uint64_t size) {
  thread_local std::vector<std::byte> bytes;
  if (bytes.size() < size) bytes.resize(size);
  return bytes;
}

// Why what is in the file does not count; empty: it does.
std::string why_not(const CacheContents& contents, std::optional<uint64_t> size,
                    const CachedDisk& disk) {
  if (!contents.damage.empty()) return contents.damage;
  if (!contents.clean) return "it was not closed";
  if (contents.disk != disk) return "the disk is not what it was then";
  const uint64_t wanted = size.value_or(contents.places.size);
  if (wanted / kMinCacheSize * kMinCacheSize != contents.places.size) return "it had another size";
  return {};
}

}  // namespace

Result<std::unique_ptr<ReadCache>> ReadCache::open(const FilePtr& file,
                                                   std::optional<uint64_t> size,
                                                   const CachedDisk& disk) {
  TRY(file->lock(LockMode::write));
  CacheContents contents;
  std::string emptied;
  const bool fresh = TRY(file->stat()).size == 0;
  if (!fresh) {
    contents = TRY_IN(file->name(), read_cache_image(*file));
    emptied = why_not(contents, size, disk);
  }
  CachePlaces places = contents.places;
  if (fresh || !emptied.empty()) {
    const uint64_t old = places.size == 0 ? kDefaultCacheSize : places.size;
    places = TRY_IN(file->name(), make_cache_image(*file, size.value_or(old)));
    contents = {};
  } else {
    TRY_IN(file->name(), mark_cache_image_open(*file));
  }
  return std::unique_ptr<ReadCache>(
      new ReadCache(file, places, std::move(contents), std::move(emptied)));
}

ReadCache::ReadCache(FilePtr file, const CachePlaces& places, CacheContents contents,
                     std::string emptied)
    : file_(std::move(file)),
      places_(places),
      before_(contents.counts),
      emptied_(std::move(emptied)),
      lines_(places.slots, std::move(contents.lines)) {}

Result<bool> ReadCache::read(const View& slow, uint64_t offset, MutableBytes out) {
  bool all = true;
  while (!out.empty()) {
    const Range want{offset, std::min<uint64_t>(out.size(), kMaxStep)};
    Kept kept{.lacks = want.length};
    if (reads_.load(kRelaxed)) kept = read_kept(want, out.first(want.length));
    uint64_t n = kept.had;
    if (n == 0) {
      all = false;
      n = kept.lacks;
      TRY(read_slow(slow, {offset, n}, out.first(n)));
    }
    (kept.had != 0 ? hits_ : misses_).fetch_add(n, kRelaxed);
    offset += n;
    out = out.subspan(n);
  }
  return all;
}

ReadCache::Kept ReadCache::read_kept(const Range& want, MutableBytes out) {
  const Range pieces = align_out(want, kCachePiece);
  const CacheLines::Found found = lines_.hold(pieces);
  // The part of want in front of where so many bytes of the pieces end.
  const auto in_front = [&](uint64_t n) {
    return std::min(pieces.offset + n, want.end()) - want.offset;
  };
  if (found.parts.empty()) return {.lacks = in_front(found.missing)};
  const uint64_t length = found.parts.back().range().end() - pieces.offset;
  const uint64_t skip = want.offset - pieces.offset;
  const bool direct = skip == 0 && length <= want.length;
  const MutableBytes bytes =
      direct ? out.first(length) : MutableBytes(scratch_of(length)).first(length);
  const uint64_t good = load(found.parts, bytes);
  lines_.release(found.parts);
  if (good == 0) return {.lacks = in_front(kCachePiece)};
  const Kept kept{.had = in_front(good)};
  if (!direct) std::memcpy(out.data(), bytes.data() + skip, kept.had);
  return kept;
}

// Calls visit(host, range of the bytes of all parts) for each run of parts that lie side by side in
// the file.
template <class Visit>
Result<void> ReadCache::for_each_run(const Parts& parts, Visit&& visit) const {
  uint64_t at = 0;
  for (size_t i = 0; i < parts.size();) {
    const uint64_t host = host_of(parts[i]);
    uint64_t length = 0;
    while (i < parts.size() && host_of(parts[i]) == host + length) {
      length += parts[i++].range().length;
    }
    TRY(visit(host, Range{at, length}));
    at += length;
  }
  return {};
}

uint64_t ReadCache::load(const Parts& parts, MutableBytes bytes) {
  const Result<void> done = for_each_run(parts, [&](uint64_t host, const Range& run) {
    return file_->read_padded(host, bytes.subspan(run.offset, run.length));
  });
  if (done) return sound_bytes(parts, bytes);
  failed(reads_, done.error());
  return 0;
}

uint64_t ReadCache::sound_bytes(const Parts& parts, Bytes bytes) {
  uint64_t good = 0;
  for (const CacheLines::Part& part : parts) {
    for (unsigned i = 0; i < part.count; ++i, good += kCachePiece) {
      const uint64_t guest = part.guest + i * kCachePiece;
      if (cache_checksum(guest, bytes.subspan(good, kCachePiece)) == part.checksums[i]) continue;
      lines_.forget_damaged(part, i);
      if (damaged_.fetch_add(kCachePiece) == 0) {
        log::warning("{}: what was kept of the disk at {} is damaged: it is read from the disk",
                     file_->name(), guest);
      }
      return good;
    }
  }
  return good;
}

Result<void> ReadCache::read_slow(const View& slow, const Range& want, MutableBytes out) {
  const Range pieces = intersect(align_out(want, kCachePiece), {0, slow.size()});
  if (pieces == want) return fetch(slow, pieces, out);
  // Not scratch_of(): what is fetched may be read by way of it.
  thread_local std::vector<std::byte> bytes;
  if (bytes.size() < pieces.length) bytes.resize(pieces.length);
  TRY(fetch(slow, pieces, MutableBytes(bytes).first(pieces.length)));
  std::memcpy(out.data(), bytes.data() + (want.offset - pieces.offset), out.size());
  return {};
}

// pieces: whole ones, but for the disk's last.
Result<void> ReadCache::fetch(const View& slow, Range pieces, MutableBytes out) {
  while (!pieces.empty()) {
    const Extent e = TRY(slow.map(pieces)).extent;
    const bool last = e.guest.end() == pieces.end();
    uint64_t n = e.guest.length;
    if (is_hole(e) && (last || n >= kCachePiece)) {
      if (!last) n = align_down(n, kCachePiece);
      std::memset(out.data(), 0, n);
    } else {
      if (!last) n = std::min(align_up(n, kCachePiece), pieces.length);
      // Before it is read: who changes it meanwhile takes the places away.
      Parts parts = may_fill(n) ? lines_.begin_fill({pieces.offset, n}) : Parts();
      Result<void> done = slow.read(pieces.offset, out.first(n));
      if (!done) {
        lines_.filled(parts, false);
        return done;
      }
      keep(std::move(parts), pieces.offset, out.first(n));
    }
    pieces = {pieces.offset + n, pieces.length - n};
    out = out.subspan(n);
  }
  return {};
}

// One read shall not push out most of what others have read.
bool ReadCache::may_fill(uint64_t length) const {
  return fills_.load(kRelaxed) && reads_.load(kRelaxed) && length <= places_.slots * kCacheLine / 4;
}

void ReadCache::keep(Parts parts, uint64_t offset, Bytes bytes) {
  if (parts.empty()) return;
  // The parts' bytes one behind the other; behind the disk's end, zeroes.
  uint64_t length = 0;
  for (const CacheLines::Part& part : parts) length += part.range().length;
  Bytes packed = bytes;
  if (length != bytes.size()) {
    std::vector<std::byte>& copy = scratch_of(length);
    std::fill_n(copy.begin(), length, std::byte{0});
    uint64_t at = 0;
    for (const CacheLines::Part& part : parts) {
      const Range inside = intersect(part.range(), {offset, bytes.size()});
      std::memcpy(copy.data() + at, bytes.data() + (part.guest - offset), inside.length);
      at += part.range().length;
    }
    packed = Bytes(copy).first(length);
  }
  uint64_t at = 0;
  for (CacheLines::Part& part : parts) {
    for (unsigned i = 0; i < part.count; ++i, at += kCachePiece) {
      part.checksums[i] =
          cache_checksum(part.guest + i * kCachePiece, packed.subspan(at, kCachePiece));
    }
  }
  const Result<void> done = for_each_run(parts, [&](uint64_t host, const Range& run) {
    return file_->write(host, packed.subspan(run.offset, run.length));
  });
  if (!done) failed(fills_, done.error());
  lines_.filled(parts, done.has_value());
  if (done) kept_.fetch_add(length, kRelaxed);
}

void ReadCache::failed(std::atomic<bool>& works, const Error& error) {
  if (!works.exchange(false)) return;
  log::warning("{}: the cache image is {} used any more", error.message(),
               &works == &reads_ ? "not" : "not added to, but");
}

ReadCache::Change::Change(ReadCache* cache, const Range& range) : cache_(cache), range_(range) {
  if (cache != nullptr) change_.emplace(cache->lines_, range);
}

void ReadCache::Change::wrote(Bytes data) {
  if (cache_ == nullptr) return;
  const uint64_t from = align_up(range_.offset, kCachePiece);
  const uint64_t to = align_down(range_.end(), kCachePiece);
  if (from >= to || !cache_->may_fill(to - from)) return;
  Parts parts = change_->begin_fill({from, to - from});
  cache_->keep(std::move(parts), from, data.subspan(from - range_.offset, to - from));
}

Result<void> ReadCache::close(const CachedDisk& disk) {
  if (!trusted_ || !reads_) return {};
  const CacheCounts counts{.hits = before_.hits + hits_, .misses = before_.misses + misses_};
  return close_cache_image(
      *file_, {.places = places_, .disk = disk, .counts = counts, .lines = lines_.take()});
}

ReadCache::Numbers ReadCache::numbers() const {
  const CacheLines::Use use = lines_.use();
  return {.file = file_->name(),
          .hits = hits_,
          .misses = misses_,
          .kept = kept_,
          .evicted = use.evicted * kCacheLine,
          .damaged = damaged_,
          .used = use.lines * kCacheLine,
          .size = places_.slots * kCacheLine,
          .working = reads_ && fills_,
          .emptied = emptied_};
}

}  // namespace platter
