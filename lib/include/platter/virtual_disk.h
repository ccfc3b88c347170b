// VirtualDisk: images laid over one another, and the disk they make together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <platter/export.h>
#include <platter/result.h>

namespace platter {

struct OpenFlags {
  // The files do not change, whatever is done. Without it an image that cannot be opened for
  // writing (its file, its format or another program forbids it) is opened for reading.
  bool read_only = false;
  bool honor_zeroes = false;  // zeroes are stored as any data is, not left out
  bool honor_same = false;    // so is what the images below show already
  bool info = false;          // for what it says of itself: by itself, never read or written
  bool shareable = false;     // takes no lock: somebody else sees to it that nobody disturbs
  bool sequential = false;    // it will be read from front to back
  bool discard = false;       // discard() works
  friend bool operator==(const OpenFlags&, const OpenFlags&) = default;
};

// Which files an image may name as its parent or its parts; see platterfs(1).
enum class Naming : unsigned char { none, beside, any };

struct OpenImage {
  std::string path;
  std::string format = {};  // as `platter formats` lists it; empty: found out
  OpenFlags flags = {};
  Naming references = Naming::beside;
  std::string passphrase = {};  // of an encrypted image; empty: there is none
};

struct NewImageOf {
  std::string path;          // no such file yet
  std::string format;        // as `platter formats` lists it
  uint64_t size = 0;         // of the disk, bytes; of a child 0: its parent's
  std::string variant = {};  // likewise, "fixed"; empty: the usual one
  // The format's own, as `platter create -o` takes them.
  std::vector<std::pair<std::string, std::string>> options = {};
  // What it says of itself, as `platter set` takes it: comment, uuid, geometry-pchs …
  std::vector<std::pair<std::string, std::string>> metadata = {};
  OpenFlags flags = {};
  Naming references = Naming::beside;
  std::string passphrase = {};  // not empty: it is encrypted
};

struct CylinderHeadSector {
  uint32_t cylinders = 0, heads = 0, sectors = 0;
  friend bool operator==(const CylinderHeadSector&, const CylinderHeadSector&) = default;
};

// What an image says of itself. Ids are in the usual hexadecimal form, empty where it has none.
struct ImageFacts {
  std::string path, format, variant;
  OpenFlags flags;          // as it is open now
  uint64_t size = 0;        // of its disk, bytes
  uint64_t block_size = 0;  // in which it allocates, bytes; 0: it does not
  uint64_t file_size = 0;   // of all its files together, bytes
  uint64_t allocated = 0;   // of these, what the host keeps
  std::string uuid, modification_uuid, parent_uuid, parent_modification_uuid;
  std::string parent;  // the file it names, as stored; empty: none, or by an id alone
  bool has_parent = false;
  std::string comment;
  std::optional<CylinderHeadSector> pchs, lchs;
  bool dirty = false, corrupt = false, encrypted = false;
  std::vector<std::string> warnings;  // what was put up with when it was opened
};

// A run of the disk's bytes that are of one kind.
struct DiskRun {
  enum class Kind : unsigned char {
    absent,  // no image has them: zeroes
    zero,    // an image says that they are zeroes
    data,    // stored as they are
    compressed,
    encrypted,
  };
  uint64_t offset = 0, length = 0;  // bytes
  Kind kind = Kind::absent;
  size_t image = 0;  // which image says so; of absent ones the lowest
};

struct ByteRange {
  uint64_t offset = 0, length = 0;  // bytes
};

// A snapshot inside the top image.
struct SnapshotFacts {
  std::string id, name;    // as stored
  uint64_t size = 0;       // of the disk then, bytes
  int64_t created_ns = 0;  // since 1970, UTC
};

// Called with bytes done and bytes in all, often, by the thread that called; false: stop, which
// ends in Errc::cancelled unless all is done by then.
using OnProgress = std::function<bool(uint64_t done, uint64_t total)>;

// Images are numbered from 0, the lowest; the top one, number count() - 1, takes what is written,
// and the others are only read. An empty disk is no error until it is read.
//
// Thread safety: read, write, zero, discard, flush, map, size and the getters may run at once, from
// any thread; everything else alone. A disk that is moved from may only be assigned to or go.
//
// Errors: the message begins with the file it is about. Of every call: Errc::invalid, no such
// image, or there is none; read_only: the top image is. A call that fails leaves the disk as it
// was, unless it says otherwise.
class PLATTER_API VirtualDisk {
 public:
  // hard_disk: any image. dvd: whole sectors of 2048 bytes, never written. floppy: one image of at
  // most 2.88 MB without a parent. Others are Errc::invalid.
  enum class Kind : unsigned char { hard_disk, dvd, floppy };
  enum class Remove : unsigned char { nothing, files };

  explicit VirtualDisk(Kind kind = Kind::hard_disk);
  ~VirtualDisk();  // as close_all(), without its error
  VirtualDisk(VirtualDisk&& other) noexcept;
  VirtualDisk& operator=(VirtualDisk&& other) noexcept;

  // Lays an image on top; the one below is only read from then on. The first one has no parent; a
  // later one names the one below it by what both say of themselves, or Errc::corrupt. info: alone,
  // whatever its parents are.
  Result<void> open(const OpenImage& image);
  // Opens an image with all its parents, wherever its references lead. The disk is empty before.
  Result<void> open_chain(const OpenImage& top);

  // Makes an image and opens it: of an empty disk, or on top of the others as their child. After
  // an error there is no new file.
  Result<void> create_base(const NewImageOf& image);
  Result<void> create_child(const NewImageOf& image);

  // Flushes and closes the top image; the one below is open as it was before. An error of the flush
  // is told, and the image is closed all the same. files: removes all that it is made of, but for
  // devices.
  Result<void> close(Remove remove = Remove::nothing);
  // The top first, to the end, also after an error, which is the first one's.
  Result<void> close_all();

  size_t count() const;
  bool is_read_only() const;  // so is an empty disk
  uint64_t size() const;      // of the disk, bytes; empty: 0
  Kind kind() const;

  // offset, and the bytes behind it: inside the disk, or Errc::out_of_range. After an error any
  // part of a written range may hold old or new bytes. Durable with flush().
  Result<void> read(uint64_t offset, std::span<std::byte> out) const;
  Result<void> write(uint64_t offset, std::span<const std::byte> data);
  // Makes them zeroes, at no more cost in space than they have now.
  Result<void> zero(ByteRange range);
  // Gives their space back where that can be; they read as zeroes. Errc::unsupported without
  // OpenFlags::discard.
  Result<void> discard(std::span<const ByteRange> ranges);
  // What was written before this call is durable when it returns.
  Result<void> flush();

  // The run at the start of range.
  Result<DiskRun> map(ByteRange range) const;

  Result<ImageFacts> facts(size_t image) const;
  // Closes the image for a moment when the flags are others than they were. What went wrong then
  // may leave the disk empty: Errc::io.
  Result<void> set_flags(size_t image, OpenFlags flags);
  // As `platter set`: all values or, with an error, none. Durable.
  Result<void> set(size_t image, const std::vector<std::pair<std::string, std::string>>& values);

  // Bytes; of the top image. shrink: the end of the disk may be lost. Errc::unsupported: not this
  // image, or not smaller.
  Result<void> resize(uint64_t size, bool shrink = false);

  // What the images from one to the other hold becomes to's alone, which takes the place of all of
  // them; the others' files are removed. from below to: the data goes up, and to stands on what was
  // below from; from above to: it goes down. The disk stays what it is, also after an error, a stop
  // or a crash. Errors as of `platter merge`; what went wrong late may leave the disk empty.
  Result<void> merge(size_t from, size_t to, const OnProgress& progress = {});

  // Gives back what an image does not need: as compact_image().
  Result<void> compact(size_t image, const OnProgress& progress = {});

  // Of the top image: Errc::unsupported where it has none inside. Durable, and while the disk is
  // used; apply not while it is.
  Result<std::vector<SnapshotFacts>> snapshots() const;
  Result<void> create_snapshot(const std::string& name);
  Result<void> remove_snapshot(const std::string& name);
  Result<void> rename_snapshot(const std::string& name, const std::string& to);
  Result<void> apply_snapshot(const std::string& name);

 private:
  class Stack;
  std::unique_ptr<Stack> stack_;
};

}  // namespace platter
