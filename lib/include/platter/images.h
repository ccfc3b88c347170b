// Images as files: what is done to one as a whole, by nobody who has it open.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <platter/export.h>
#include <platter/virtual_disk.h>

namespace platter {

// What the library can do with a format; names as `platter formats` has them.
struct FormatFacts {
  std::string name;
  std::vector<std::string> extensions;  // without a dot, the usual one first
  std::vector<std::string> variants;    // that can be made
  bool read = false, write = false, create = false, child = false, resize = false, compact = false,
       check = false, repair = false, snapshot = false, encrypt = false;
};

// Every format, in the order of the names. Thread safe, as all of these functions are.
PLATTER_API std::vector<FormatFacts> formats();
// By name, in any case; Errc::invalid: there is none.
PLATTER_API Result<FormatFacts> format_named(std::string_view name);

// What the file is, by what is in it. Errc::wrong_format: it is empty; unsupported: some other
// kind of disk image. guessed: nothing in it says so, it is taken for "raw".
struct ProbedFormat {
  std::string name;
  bool guessed = false;
  VirtualDisk::Kind kind =
      VirtualDisk::Kind::hard_disk;  // of what it is an image, as its name says
};
PLATTER_API Result<ProbedFormat> probe_format(const std::string& path);

// What `platter info --json` prints: one object, of UTF-8. chain: of all parents, too.
PLATTER_API Result<std::string> describe_image(const OpenImage& image, bool chain = false);

// A new image of what the guest of source sees: with all its parents flattened or, with a parent,
// of what differs from that one. Zeroes take no space. After an error there is no new image.
struct CopyOptions {
  std::string parent = {}, parent_format = {};  // of the new image; empty: none
  bool compress = false;
  unsigned threads = 0;  // 0: as many as there are processors
};
// target.size 0: as large as source.
PLATTER_API Result<void> copy_image(const OpenImage& source, const NewImageOf& target,
                                    const CopyOptions& options = {},
                                    const OnProgress& progress = {});

// Where the guests of two images first see another byte; empty: nowhere. A longer one is the same
// when the rest is zeroes.
PLATTER_API Result<std::optional<uint64_t>> compare_images(const OpenImage& a, const OpenImage& b,
                                                           const OnProgress& progress = {});

// Problems found in an image, and how many are mended. Errc::unsupported: there is nothing to
// check.
struct CheckFacts {
  uint64_t errors = 0, leaks = 0;  // that are still there
  uint64_t repaired = 0;
  std::vector<std::string> messages;
};
enum class RepairWhat : unsigned char { nothing, leaks, everything };
PLATTER_API Result<CheckFacts> check_image(const OpenImage& image,
                                           RepairWhat repair = RepairWhat::nothing);

// As `platter merge`: the data of an image, and of those between, goes down into an ancestor of it
// (its parent, if none is named), and they are removed.
struct MergeOptions {
  std::string into = {};                   // empty: the parent; up: no image at all
  bool up = false;                         // the other way: the image then stands on into
  std::vector<std::string> children = {};  // images that stand on it, taken along
  bool remove_between = false;             // up: the images between go
  unsigned threads = 0;                    // 0: as many as there are processors
};
struct MergedImages {
  std::string target;                // the image that has it all now
  uint64_t copied = 0, zeroed = 0;   // bytes
  std::vector<std::string> removed;  // images
};
PLATTER_API Result<MergedImages> merge_image(const OpenImage& image,
                                             const MergeOptions& options = {},
                                             const OnProgress& progress = {});

// As `platter compact`: gives back, in place, blocks that read as zeroes, blocks that nothing uses
// and what leaked. The disk stays what it is, also after an error, a stop or a crash.
// Errc::unsupported: nothing of this image can be given back.
struct CompactedImage {
  uint64_t size_before = 0, size_after = 0;            // of all its files, bytes
  uint64_t allocated_before = 0, allocated_after = 0;  // of these, what the host keeps
};
PLATTER_API Result<CompactedImage> compact_image(const OpenImage& image,
                                                 const OnProgress& progress = {});

// As `platter copy`: an image with what it says of itself, or a chain image by image. After an
// error nothing is left of the copies.
struct CloneOptions {
  std::string format = {};  // of the copies; empty: what each image is
  std::string variant = {};
  bool layers = false;  // each image of the chain by itself; else the disk as a whole
  // The copy of the image's parent: only what the image itself has is copied, onto that.
  std::string parent = {};
  uint64_t size = 0;  // of the disk, bytes; 0: what it is
  // What the copy says of itself otherwise than the image; without a "uuid" it has a new one.
  std::vector<std::pair<std::string, std::string>> metadata = {};
  unsigned threads = 0;  // 0: as many as there are processors
};
struct ClonedImage {
  std::string path, format;
  uint64_t copied = 0;                // bytes of data
  std::vector<std::string> left_out;  // what the image says of itself and the copy cannot
};
// The copies in the order they were made, the lowest first.
PLATTER_API Result<std::vector<ClonedImage>> clone_image(const OpenImage& image,
                                                         const std::string& to,
                                                         const CloneOptions& options = {},
                                                         const OnProgress& progress = {});

// As `platter move`: the image with all its files, by new names where that can be, else copied and
// then removed; it finds its parent as before, and children that are named find it. After an error
// it is where it was.
struct MovedImage {
  std::vector<std::string> files;  // where they are now, the image itself first
  bool copied = false;             // to another filesystem
};
PLATTER_API Result<MovedImage> move_image(const OpenImage& image, const std::string& to,
                                          const std::vector<std::string>& children = {},
                                          const OnProgress& progress = {});

}  // namespace platter
