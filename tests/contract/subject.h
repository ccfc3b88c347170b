// The formats under the contract: everything a test needs to know of one to write to it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "tests/support/open_disk.h"

namespace platter::test {

struct Subject {
  std::string name;
  bool is_child = false;  // only ever used over a parent
  bool is_base = false;   // never used over one
  bool can_resize = false;
  bool can_snapshot = false;
  bool can_compact = false;  // and its file can get shorter
  bool can_repair = false;   // and a power cut can leave it something to repair
  uint64_t disk_size = 0;    // a few blocks, and not a multiple of one
  // An empty disk in a new file; synced.
  std::function<Result<void>(const FilePtr&)> create;
  std::function<Result<ImagePtr>(const FilePtr&, Epochs&, bool writable)> open;
  // What the format's own check finds in a file beyond leaks; empty: nothing.
  std::function<std::optional<std::string>(const FilePtr&)> fault;
};

// For gtest's messages.
inline void PrintTo(const Subject& subject, std::ostream* out) { *out << subject.name; }
// Names the tests of a suite after their subjects.
inline constexpr auto kSubjectName = [](const auto& test) { return test.param.name; };

// Every format that can be written, in all its variants.
std::vector<Subject> subjects();
// Disks of more blocks, and of other sizes of them.
std::vector<Subject> larger_subjects();
// Disks that something was done with before: compressed clusters, snapshots.
std::vector<Subject> used_subjects();
std::vector<Subject> only(std::vector<Subject> subjects, bool Subject::*property);

// What a disk of so many bytes grows to: small steps, and one that no table has room for.
inline std::vector<uint64_t> larger_sizes(uint64_t from) {
  return {from + 512, from + 8 * KiB, 3 * MiB};
}

// Threads that write at once, each to stripes of its own, of so many bytes: smaller than any block,
// so that threads share blocks.
inline constexpr unsigned kThreads = 8;
inline constexpr uint64_t kStripe = 64;

// A disk of one subject, perhaps over a parent, opened for writing.
class TestDisk : public OpenDisk {
 public:
  TestDisk(const Subject& subject, const FilePtr& file, const Image* parent = nullptr,
           WriterOptions options = {.flush_every_ms = 0})
      : OpenDisk([&](Epochs& epochs) { return subject.open(file, epochs, true); }, parent,
                 options) {}

  Result<void> write(const Range& range, std::byte value) {
    return fill(range, std::to_integer<int>(value));
  }
  std::vector<std::byte> contents() const { return all(); }
};

// What a file of the subject reads as, opened for reading.
Result<std::vector<std::byte>> read_disk(const Subject& subject, const FilePtr& file,
                                         const Image* parent = nullptr);
// Likewise, what its snapshots do, in their order.
Result<std::vector<std::vector<std::byte>>> read_snapshots(const Subject& subject,
                                                           const FilePtr& file,
                                                           const Image* parent = nullptr);
// The disk; a gtest failure when it cannot be read.
std::vector<std::byte> contents_of(const Subject& subject, const FilePtr& file,
                                   const Image* parent = nullptr);

// What the format's check finds in a file, and how much of it is mended.
Result<CheckReport> check(const Subject& subject, const FilePtr& file, Repair how);
// Makes the file as short as what it holds allows.
Result<void> compact(const Subject& subject, const FilePtr& file, Progress& progress);
// Grows the disk as the tool does: its last block becomes its own first, so that what a parent has
// behind the old end stays hidden.
Result<void> grow(const Subject& subject, const FilePtr& file, const Image* parent, uint64_t size);

// A parent of so many bytes: 0xee with holes in it.
class TestParent {
 public:
  explicit TestParent(uint64_t size);
  const Image* image() const { return image_.get(); }
  // For a test of this subject and seed: every second one has no parent, where it can be without.
  const Image* below(const Subject& subject, uint64_t seed = 1) const {
    if (subject.is_base) return nullptr;
    return subject.is_child || seed % 2 == 0 ? image() : nullptr;
  }

 private:
  Epochs epochs_;
  ImagePtr image_;
};

}  // namespace platter::test
