#include "tests/fuzz/targets.h"

#include <cstdio>
#include <cstdlib>
#include <set>
#include <vector>

#include "formats/vci/header.h"
#include "lib/base/checked.h"
#include "lib/base/crc32c.h"
#include "lib/container/extent_walk.h"
#include "lib/container/read_cache.h"
#include "lib/image/registry.h"
#include "lib/io/memory_file.h"
#include "lib/partition/partition.h"
#include "tests/support/memory_container.h"

namespace platter::test {
namespace {

constexpr int kMaxExtents = 300;  // a state
constexpr uint64_t kMaxRead = 64 * KiB;
constexpr size_t kMaxSnapshots = 8;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken contract: %s\n", what);
  std::abort();
}

void check_extent(const Extent& e, const Range& want) {
  require(e.guest.contains(want.offset), "the extent holds want.offset");
  require(e.guest.end() > e.guest.offset, "the extent does not wrap around");
  if (e.kind == Extent::Kind::data) {
    require(e.file != nullptr, "data lies in a file");
    const auto stat = e.file->stat();
    require(stat && fits(e.host, e.guest.length, stat->size), "data lies inside its file");
  }
  if (e.kind == Extent::Kind::encoded) {
    require(e.file != nullptr && e.codec != nullptr, "a compressed unit has a file and a codec");
    require(e.unit.contains(e.guest), "a compressed unit holds its extent");
    require(e.unit.length <= 64 * MiB && e.stored <= 64 * MiB, "a compressed unit is bounded");
  }
}

// From offset on, some extents; an error ends it.
void map_some(const Image& image, SnapshotId snapshot, uint64_t offset) {
  const uint64_t size = image.size(snapshot);
  for (int i = 0; i < kMaxExtents && offset < size; ++i) {
    const Range want{offset, size - offset};
    const auto extent = image.map(want, snapshot);
    if (!extent) return;
    check_extent(*extent, want);
    offset = extent->guest.end();
  }
}

void read_some(const Image& image, SnapshotId snapshot, uint64_t offset) {
  BlockCache blocks(1 * MiB);
  const View view({{&image, snapshot}}, blocks);
  if (offset >= view.size()) return;
  std::vector<std::byte> out(std::min(kMaxRead, view.size() - offset));
  (void)view.read(offset, out);
}

void look_at(const Image& image, SnapshotId snapshot) {
  const uint64_t size = image.size(snapshot);
  require(size <= kMaxOffset, "a disk is no larger than an offset can say");
  for (const uint64_t at : {uint64_t{0}, size / 2, size - std::min(size, kMaxRead)}) {
    map_some(image, snapshot, at);
    read_some(image, snapshot, at);
  }
}

void open_as(const Format& format, Bytes input, bool info_only) {
  const auto resolver = map_resolver({});
  const auto image = format.open(OpenRequest{.file = std::make_shared<MemoryFile>("fuzz", input),
                                             .resolver = *resolver,
                                             .tables = std::make_shared<PageCache>(1 * MiB),
                                             .info_only = info_only});
  if (!image) {
    require(!image.error().message().empty(), "an error has a message");
    require(image.error().message().find('\n') == std::string::npos, "a message is one line");
    return;
  }
  require(!(*image)->files().empty(), "an image has a file");
  require((*image)->size() <= kMaxOffset, "a disk is no larger than an offset can say");
  if (info_only) return;
  look_at(**image, 0);
  const auto snapshots = (*image)->snapshots();
  for (size_t i = 0; i < std::min(kMaxSnapshots, snapshots.size()); ++i) {
    look_at(**image, snapshots[i].id);
  }
}

// The disks of an archive lie in it, and open or not.
void open_archive(const Format& format, Bytes input) {
  const auto file = std::make_shared<MemoryFile>("fuzz", input);
  const auto archive = format.open_archive(file);
  if (!archive) {
    require(archive.error().message().find('\n') == std::string::npos, "a message is one line");
    return;
  }
  for (const ArchivedDisk& disk : (*archive)->disks()) {
    require(fits(disk.place.offset, disk.place.length, input.size()), "a member is in its archive");
    if (!disk.problem.empty()) continue;
    (void)probe(*(*archive)->open(disk));
    (void)(*archive)->resolver(disk)->open("other");
  }
  CheckReport report;
  (void)(*archive)->check(report);
}

// What a repair does not mend it leaves as it was, or better; and it says what is left.
void repair_as(const Format& format, Bytes input) {
  const auto file = std::make_shared<MemoryFile>("fuzz", input);
  const auto resolver = map_resolver({});
  Epochs epochs;
  const auto check = [&](Repair how, CheckReport& report) -> Result<void> {
    const auto image = TRY(format.open(OpenRequest{.file = file,
                                                   .resolver = *resolver,
                                                   .tables = std::make_shared<PageCache>(1 * MiB),
                                                   .info_only = true,
                                                   .writable = true,
                                                   .epochs = &epochs}));
    return image->check(how, report);
  };
  CheckReport found, left, after;
  if (!check(Repair::none, found) || !check(Repair::all, left)) return;
  require(left.corruptions <= found.corruptions, "a repair makes nothing worse");
  require(check(Repair::none, after).has_value(), "a repaired image can be checked");
  require(after.corruptions == left.corruptions && after.leaks == left.leaks,
          "a repair says what is left");
}

}  // namespace

void fuzz_open(Bytes input) {
  const MemoryFile file("fuzz", input);
  (void)probe(file);
  for (const Format* format : all_formats()) {
    open_as(*format, input, true);
    open_as(*format, input, false);
    if (format->can_repair()) repair_as(*format, input);
    if (format->holds_images()) open_archive(*format, input);
  }
}

void fuzz_partition(Bytes input) {
  if (input.empty()) return;
  const MemoryDisk disk = memory_disk(std::make_shared<MemoryFile>("fuzz", input));
  const auto table = read_partitions(*disk.view);
  if (!table) return;
  for (const Partition& p : table->partitions) {
    require(!p.range.empty(), "a partition is not empty");
    require(fits(p.range.offset, p.range.length, disk.view->size()), "a partition is on the disk");
  }
}

namespace {

// As far as the header's own numbers lead.
void seal(MemoryFile& file) {
  auto header = file.read_struct<vci::Header>(0);
  if (!header) return;
  const uint64_t size = file.stat()->size;
  const auto sum = [&](uint64_t block, uint64_t length) -> uint32_t {
    std::vector<std::byte> bytes(std::min(length, size));
    (void)file.read_padded(std::min(block, size) * vci::kBlock, bytes);
    return crc32c(bytes);
  };
  header->tree_checksum = sum(header->root, header->nodes * vci::kNodeSize);
  header->map_checksum = sum(header->map, header->map_blocks * vci::kBlock);
  (void)vci::write_header(file, *header);
}

void check_cache(const CacheContents& contents) {
  uint64_t next = 0;
  std::set<uint64_t> slots;
  for (const CachedLine& line : contents.lines) {
    require(line.guest >= next && line.guest < contents.disk.size, "lines are in order");
    require(line.slot < contents.places.slots, "a line lies in a slot");
    require(slots.insert(line.slot).second, "no two lines lie in one slot");
    next = line.guest + kCacheLine;
  }
}

}  // namespace

void fuzz_cache(Bytes input) {
  const auto file = std::make_shared<MemoryFile>("fuzz", input);
  seal(*file);
  const auto contents = read_cache_image(*file);
  if (!contents) return;
  check_cache(*contents);
  CheckReport report;
  (void)check_cache_image(*file, report);
  const auto cache = ReadCache::open(file, std::nullopt, contents->disk);
  require(cache.has_value(), "a cache image can be used, or emptied");
  const MemoryDisk disk = memory_disk(std::make_shared<MemoryFile>("disk", input));
  std::vector<std::byte> out(disk.view->size());
  for (int i = 0; i < 2; ++i) {
    require((*cache)->read(*disk.view, 0, out).has_value(), "a disk can be read by way of it");
  }
  CachedDisk larger = contents->disk;
  larger.size = std::max(larger.size, out.size());
  require((*cache)->close(larger).has_value(), "a cache image can be closed");
  const auto closed = read_cache_image(*file);
  require(closed && closed->clean && closed->damage.empty(), "and is sound then");
}

}  // namespace platter::test
