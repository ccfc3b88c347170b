// Image: one opened container file. It knows where its own bytes are and nothing about its
// parent's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "lib/base/progress.h"
#include "lib/base/uuid.h"
#include "lib/crypto/luks1.h"
#include "lib/image/check.h"
#include "lib/image/extent.h"

namespace platter {

using SnapshotId = uint64_t;  // stable while the image is open; 0 is the live state

struct SnapshotInfo {
  SnapshotId id = 0;
  std::string format_id;   // what the format calls it; qcow2: a decimal counter
  std::string name;        // as stored: any bytes
  uint64_t size = 0;       // of the disk, bytes
  uint64_t vm_state = 0;   // bytes
  int64_t created_ns = 0;  // since 1970, UTC
};

// How an image names its parent: by file names, by ids, or by both. Of several files the first is
// the parent that is there and has the ids; when none is, a file beside the image that has them.
struct ParentLink {
  std::string reference;  // as stored; empty: only the ids are known
  std::string format;     // as stored; empty: probe. Set where there are ids
  std::optional<Uuid> uuid;
  // What the parent had when the child was made, where the child says so.
  std::optional<Uuid> modification_uuid;
  std::string content_id;                            // ImageInfo::content_id
  std::optional<int64_t> mtime_s;                    // of its file, since 1970
  std::vector<std::string> other_references = {};    // where else it may be, the likeliest first
  std::optional<Uuid> other_modification_uuid = {};  // as good as modification_uuid
};

struct Geometry {
  uint32_t cylinders = 0, heads = 0, sectors = 0;
};

// A fact only one format has, for `info`: {"compat", "1.1"}.
using Detail = std::pair<std::string, std::variant<std::string, uint64_t, bool>>;

// Values as a person writes them, by the names `platter set` has: {"comment", "of May"},
// {"geometry-lchs", "1024/255/63"}, {"uuid", "random"}. None twice.
using Metadata = std::vector<std::pair<std::string, std::string>>;

// Features an image uses, by their names, or "bit N" where nobody names it.
struct Features {
  std::vector<std::string> incompatible;  // who does not know one of these cannot read the image
  std::vector<std::string> compatible;    // may be ignored
  std::vector<std::string> autoclear;     // gone once somebody writes who does not know them
};

// A persistent dirty bitmap.
struct BitmapInfo {
  std::string name;          // as stored: any bytes
  uint64_t granularity = 0;  // guest bytes a bit
  std::vector<std::string> flags;
};

struct ImageInfo {
  std::string format;       // as `platter formats` lists it
  std::string variant;      // "dynamic", "static", "v3" …
  uint64_t block_size = 0;  // the allocation unit, bytes; 0 where there is none
  std::optional<Uuid> uuid, modification_uuid;
  std::string content_id;  // another one after each session that wrote; empty: none (VMDK's CID)
  std::optional<ParentLink> parent;
  // Other files that are nothing but a part of this image (data file, extents), as it names them.
  std::vector<std::string> parts;
  std::optional<Geometry> pchs, lchs;
  std::string comment;
  bool dirty = false;
  bool corrupt = false;
  bool encrypted = false;  // an extent of it may have a cipher
  std::vector<Detail> details;
  Features features;
  std::vector<BitmapInfo> bitmaps;
  std::vector<std::string> warnings;  // what the opener put up with; without the file's name
};

// Space set aside for guest bytes, not visible to any reader yet.
struct Reservation {
  Range covers;  // guest bytes; the caller writes every one of them before publish(), but for
                 // zeroes where the space is zeroed
  File* file = nullptr;
  uint64_t host = 0;               // where covers.offset goes
  uint64_t cookie = 0;             // the driver's
  bool zeroed = false;             // all of the space is in the file and reads as zeroes
  const Cipher* cipher = nullptr;  // set: covers is whole sectors, and they are encrypted there
  uint64_t tweak = 0;              // of covers.offset
};

struct SnapshotRequest {
  enum class What : unsigned char {
    create,  // the disk as it is at the end is kept as the last of Image::snapshots()
    remove,  // and its id means nothing from then on
    rename,
    apply,  // the disk becomes what the snapshot is, in its size, too
  };
  What what = What::create;
  SnapshotId id = 0;  // but for create
  std::string name;   // of create and rename: any bytes
};

// A change of an image's snapshots, under way; the image outlives it. prepare(), finish() and
// clean_up() are called once each, in this order, as far as they succeed. An error or a crash
// leaves the image as it was, or changed as a whole, and space that leaks. Memory: a few words a
// table, and some MiB.
class SnapshotChange {
 public:
  // Called as Image::change_snapshots() is, unless finish() has succeeded.
  virtual ~SnapshotChange() = default;
  // The long part, while the disk is used and flushed.
  virtual Result<void> prepare() = 0;
  // Called as Image::change_snapshots() is, and everything that was written before is as it is in
  // a flush. Durable when it returns; after an error that leaves it in doubt whether it happened
  // every later change fails.
  virtual Result<void> finish() = 0;
  // Gives back the space that is not needed any more, beside other calls; the next flush takes it.
  virtual Result<void> clean_up() = 0;
};

// Thread safety: every method may run at any time, but of one guest block at most one thread is
// between reserve() and publish(), or in make_zero() (the caller's RangeLock).
class Image {
 public:
  virtual ~Image() = default;

  virtual const ImageInfo& info() const = 0;
  // Bytes. A snapshot may be smaller or larger than the disk.
  virtual uint64_t size(SnapshotId snapshot = 0) const = 0;

  // The extent that holds want.offset; it begins at or before it and may be longer than want.
  // want lies inside size(snapshot) and is not empty. No I/O beyond the tables that say so for
  // want.offset; an extent may end early where the next table would have to be read, and
  // neighbours may be of the same kind. Data extents are clipped to the bytes their file has: what
  // lies past its end is a zero extent.
  virtual Result<Extent> map(const Range& want, SnapshotId snapshot = 0) const = 0;

  // Internal snapshots, in the order of the image's own table.
  virtual std::vector<SnapshotInfo> snapshots() const { return {}; }

  // What follows changes the image. Errc::read_only unless it was opened for writing.

  // Before the first change of a session, in-place writes included; durable when it returns
  // (modification ids, in-use marks). Later calls do nothing.
  virtual Result<void> begin_writing();

  // Finds space for the bytes at the start of want. Changes nothing a reader or a crash could see,
  // but for space that leaks. covers holds want.offset and is the smallest range the format can
  // publish, or several whole blocks at the start of want that go side by side; it may reach past
  // the disk's end, where the caller writes zeroes.
  virtual Result<Reservation> reserve(const Range& want);
  // Points the guest bytes at the reserved space: all or nothing in memory, durable with flush(),
  // never before the data itself.
  virtual Result<void> publish(const Reservation& reservation);
  // Gives the space back, when filling it or publish() failed.
  virtual void abandon(const Reservation& /*reservation*/) noexcept {}

  // Makes the longest possible prefix of want explicit zeroes (whatever a parent holds) without
  // writing data. {want.offset, 0}: not possible up to the next unit, write zeroes.
  virtual Result<Range> make_zero(const Range& want, File::Zero how);

  // On return what was written and published before is durable and reachable after a crash.
  // wrote_data: guest bytes changed since the last flush, in place or not.
  virtual Result<void> flush(bool wrote_data);
  // Changes wait in memory that are worth a flush: the caller flushes soon.
  virtual bool wants_flush() const { return false; }

  // Begins a change of the snapshots, of which there is one at a time, and nothing is visible yet.
  // Called with no other call running but files(); what waits for a flush may go on waiting.
  // Errc::unsupported: not this format, or not this image (its data is in another file, or a
  // counter of it has no room); not_found: no such snapshot; no_space: no more snapshots; invalid:
  // no name for one, or (EEXIST) another one's.
  virtual Result<std::unique_ptr<SnapshotChange>> change_snapshots(const SnapshotRequest& request);

  // Grows the live disk (new bytes read as zeroes, whatever a parent has behind the last block of
  // this one) or cuts it; size in bytes, rounded up to what the format can say. Durable when it
  // returns; a crash leaves the old size or the new one, with the old contents.
  // Called with no other call running but files() (the container's layout held alone), and with
  // nothing that waits for a flush. Afterwards, also after an error, the image says and does what
  // its file then holds: size(), map(), info() and everything it keeps in memory; an error that
  // leaves it in doubt makes every later change fail. begin_writing() is called again before the
  // next change. Errc::unsupported: not this image, or not smaller; invalid: no image of this kind
  // can be that large.
  virtual Result<void> resize(uint64_t size);

  // What follows is for an image nobody else is at, with nothing in it that waits for a flush.
  // After it the image is out of date, but for files(): open it again.

  // Looks for what breaks the format's rules, and mends it: reads everything before it writes
  // anything. Repair needs an image open for writing.
  virtual Result<void> check(Repair repair, CheckReport& report);

  // Changes what the image says of itself and nothing of the disk: all of the values or, with an
  // error, none. Durable when it returns. Errc::unsupported: the format keeps no such thing;
  // invalid: it cannot be that.
  virtual Result<void> set_metadata(const Metadata& values);

  // Names another parent, and changes nothing else: who wants the same disk sees to it that the new
  // parent shows what the old one did. As set_metadata(). Errc::unsupported: the image has no
  // parent, or the format cannot name this one.
  virtual Result<void> set_parent(const ParentLink& parent);

  // Has no parent from now on, and changes nothing else: what the image has nothing of reads as
  // zeroes. As set_metadata(). Errc::unsupported: the image has no parent.
  virtual Result<void> drop_parent();

  // Makes the files as short as what they hold allows: space that nothing uses is given up, what is
  // stored behind it moves there, and the files are cut. The disk, its snapshots and what the image
  // says of itself stay what they are. Durable when it returns; an error, Errc::cancelled or a
  // crash at any moment leaves the same disk, and leaks at most. Errc::unsupported: not this
  // format, or not this image. Progress is in bytes of the files. Memory: a few words a block.
  virtual Result<void> compact(Progress& progress);

  // Changes how the image says what it says (its version, its features) and nothing of the disk or
  // its snapshots. options: of Format::amend_options(). Durable when it returns; a crash or an
  // error leaves the old kind of image or the new one, and leaks at most. Errc::unsupported: the
  // new kind cannot say what is in the image; invalid: there is no such kind.
  virtual Result<void> amend(const Metadata& options);

  // Where its keys are, if they are in a LUKS header.
  virtual std::optional<LuksPlace> luks_header() const { return std::nullopt; }

  // Every host file the image is made of, the one that was opened first; parents are not among
  // them. The same as long as the image is open.
  virtual std::vector<FilePtr> files() const = 0;
};
using ImagePtr = std::unique_ptr<Image>;

}  // namespace platter
