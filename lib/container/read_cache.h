// ReadCache: a cache image in front of a slow disk. It never changes what is read: what does not
// have its checksum is read from the disk, and an error of the cache's file is none of the disk's.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "lib/container/cache_lines.h"
#include "lib/container/view.h"

namespace platter {

// Thread safe. No lock is held while the file or the disk is read or written.
class ReadCache {
 public:
  // Takes over a cache image, or an empty file to make one of, and keeps others from it. What is in
  // it counts when it was closed for this disk as it is now and is sound; else it is emptied.
  // size: in bytes; without it, the file keeps the one it has. Errc::wrong_format: the file is
  // something else, and is left alone; busy; invalid: no such size. Errors name the file.
  static Result<std::unique_ptr<ReadCache>> open(const FilePtr& file, std::optional<uint64_t> size,
                                                 const CachedDisk& disk);

  // As slow.read(), by way of the cache: whole pieces are read of what it does not have, and kept
  // but for holes. True: no byte of it came from the disk.
  Result<bool> read(const View& slow, uint64_t offset, MutableBytes out);

  // The bytes of a range of the disk are being changed while it lives: from before the first one is
  // different until nobody can read an old one any more.
  class Change {
   public:
    // cache: may be null.
    Change(ReadCache* cache, const Range& range);
    // The whole range now has these bytes. What the cache had of it, it has anew.
    void wrote(Bytes data);

   private:
    ReadCache* const cache_;
    const Range range_;
    std::optional<CacheLines::Change> change_;
  };

  // The range is not what it was. Called with no request under way.
  void forget(const Range& range) { lines_.forget(range); }
  // What is in it may not be what the disk will be: it does not count the next time.
  void distrust() { trusted_ = false; }

  // What is in it counts the next time this disk is opened, unless something went wrong. Nothing
  // but the destructor may be called afterwards. Errors name the file.
  Result<void> close(const CachedDisk& disk);

  struct Numbers {
    std::string file;
    uint64_t hits = 0, misses = 0;  // bytes read from it, and through it from the disk
    uint64_t kept = 0;              // bytes written to it
    uint64_t evicted = 0;           // bytes that gave way to others
    uint64_t damaged = 0;           // bytes that did not have their checksum
    uint64_t used = 0, size = 0;    // bytes of its lines, in use and all
    bool working = true;            // false: its file failed, and is not used any more
    std::string emptied;            // why nothing counted that was in it; empty: it did, or was new
  };
  Numbers numbers() const;

 private:
  using Parts = CacheLines::Parts;
  ReadCache(FilePtr file, const CachePlaces& places, CacheContents contents, std::string emptied);

  // How many bytes at the start of want were read from the cache; if none, how many it lacks.
  struct Kept {
    uint64_t had = 0, lacks = 0;
  };
  Kept read_kept(const Range& want, MutableBytes out);
  // Bytes that are right, from the start; all of bytes are parts'.
  uint64_t load(const Parts& parts, MutableBytes bytes);
  uint64_t sound_bytes(const Parts& parts, Bytes bytes);
  Result<void> read_slow(const View& slow, const Range& want, MutableBytes out);
  Result<void> fetch(const View& slow, Range pieces, MutableBytes out);
  // parts: of the bytes that begin at offset.
  void keep(Parts parts, uint64_t offset, Bytes bytes);
  bool may_fill(uint64_t length) const;
  uint64_t host_of(const CacheLines::Part& part) const {
    return places_.first_slot + part.slot * kCacheLine + part.first * kCachePiece;
  }
  template <class Visit>
  Result<void> for_each_run(const Parts& parts, Visit&& visit) const;
  void failed(std::atomic<bool>& works, const Error& error);

  const FilePtr file_;
  const CachePlaces places_;
  const CacheCounts before_;
  const std::string emptied_;
  CacheLines lines_;
  std::atomic<bool> reads_{true}, fills_{true};  // its file can be read, and written
  std::atomic<bool> trusted_{true};
  std::atomic<uint64_t> hits_{0}, misses_{0}, kept_{0}, damaged_{0};
};

}  // namespace platter
