// Cache images: a local file that keeps what was read of a slow disk, for the next time. How they
// are written down is the format's (formats/vci); what goes in and when it counts is the
// container's (lib/container/read_cache).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/uuid.h"
#include "lib/image/check.h"
#include "lib/io/file.h"

namespace platter {

inline constexpr uint64_t kCachePiece = 4 * KiB;  // what is kept, and has a checksum
inline constexpr size_t kPiecesOfALine = 4;       // side by side on the disk and in the file
inline constexpr uint64_t kCacheLine = kPiecesOfALine * kCachePiece;

// Bytes of the file, all it says of itself included.
inline constexpr uint64_t kMinCacheSize = 2 * MiB, kMaxCacheSize = 64 * GiB;
inline constexpr uint64_t kDefaultCacheSize = GiB;

// Where the lines lie in the file: slot i at first_slot + i * kCacheLine.
struct CachePlaces {
  uint64_t size = 0;  // the most the file may have, bytes
  uint64_t first_slot = 0;
  uint64_t slots = 0;
};

struct CachedLine {
  uint64_t guest = 0;  // a multiple of kCacheLine, in front of the disk's end
  uint64_t slot = 0;   // of no other line
  uint8_t pieces = 0;  // bit i: piece i is there
  uint8_t age = 0;     // the larger, the later it was used
  std::array<uint32_t, kPiecesOfALine> checksums = {};  // of pieces that are there
};

// Over the place, too: of bytes that are right somewhere else.
uint32_t cache_checksum(uint64_t guest, Bytes piece);

// Which contents of which disk.
struct CachedDisk {
  Uuid uuid, modification_uuid;           // of its top image; nil: none
  std::array<std::byte, 32> digest = {};  // of all that tells its files from others and from later
  uint64_t size = 0;                      // bytes
  friend bool operator==(const CachedDisk&, const CachedDisk&) = default;
};

struct CacheCounts {
  uint64_t hits = 0, misses = 0;  // bytes that were read from it, and that it did not have
};

// What a file holds. Whatever is wrong with one that is a cache image at all is told by the last
// two: its lines do not count then, and are not here.
struct CacheContents {
  CachePlaces places;
  CachedDisk disk;
  CacheCounts counts;
  std::vector<CachedLine> lines;  // in the order of the disk
  uint64_t table_bytes = 0;       // of all but the lines, in use
  bool clean = false;             // it was closed
  std::string damage;             // empty: none
};

// By its signature; false also for an empty file. Thread safe, as all that follow: they keep
// nothing.
Result<bool> is_cache_image(const File& file);

// Errc::wrong_format: it is no cache image, or one of another program. Memory: some 30 bytes a
// line.
Result<CacheContents> read_cache_image(const File& file);

// Makes it an empty one that has not been closed, durably. size: in bytes, kMinCacheSize to
// kMaxCacheSize, or Errc::invalid; rounded down. Whatever was in the file is gone.
Result<CachePlaces> make_cache_image(File& file, uint64_t size);

// From here on a crash leaves one that was not closed. Durable when it returns. Errors: as
// read_cache_image().
Result<void> mark_cache_image_open(File& file);

// Closes it with these lines (in any order, with places as they are in the file), durably: all that
// lies in the slots is durable, too, before it counts.
Result<void> close_cache_image(File& file, CacheContents contents);

// Everything read_cache_image() looks at, and each piece's checksum.
Result<void> check_cache_image(const File& file, CheckReport& report);

}  // namespace platter
