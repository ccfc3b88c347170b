// Archive: a file that holds images of disks side by side, which are read where they lie in it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/image/check.h"
#include "lib/io/resolver.h"

namespace platter {

// What an archive says of one of its disks.
struct ArchivedDisk {
  std::string id;
  std::string
      member;  // the name of its file in the archive; empty: the disk is blank, and has none
  std::string format;     // as stored: a hint
  std::string parent;     // the id of the disk it is the difference to; empty: none
  uint64_t capacity = 0;  // of the disk, bytes; 0: not said
  Range place;            // of the member's bytes, in the archive's file
  std::string problem;    // why it cannot be opened; empty: it can
  bool missing = false;   // that is because the archive lacks what it lists
};

// Immutable; thread safe. It needs to live only until everything is open.
class Archive {
 public:
  virtual ~Archive() = default;

  virtual std::string_view format() const = 0;  // as `platter formats` lists it
  // In the archive's order. No two openable ones of different bytes have one member's name.
  virtual const std::vector<ArchivedDisk>& disks() const = 0;
  // The names of the machines they belong to, as stored.
  virtual const std::vector<std::string>& systems() const = 0;
  virtual const std::vector<std::string>& warnings() const = 0;

  // The disk's file, of a disk without a problem; its name is ARCHIVE/MEMBER.
  virtual FilePtr open(const ArchivedDisk& disk) const = 0;
  // What the disk's image may name: other members of the archive, and nothing else.
  virtual std::unique_ptr<Resolver> resolver(const ArchivedDisk& disk) const = 0;

  // The archive itself: digests of its members, where it has some, and what it misses. Not the
  // images in it.
  virtual Result<void> check(CheckReport& report) const = 0;
};
using ArchivePtr = std::shared_ptr<const Archive>;

}  // namespace platter
