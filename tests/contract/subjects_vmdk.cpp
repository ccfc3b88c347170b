// VMDKs under the contract.
#include "lib/image/registry.h"
#include "lib/io/memory_file.h"
#include "tests/contract/subjects_of_formats.h"
#include "tests/support/bytes.h"

namespace platter::test {
namespace {

constexpr uint64_t kVmdkSize = 24 * KiB + 512;

// Tables can say that a grain is zero.
Subject zeroed(uint64_t disk_size, const char* grain) {
  return of_format("vmdk", disk_size, {{"grain_size", grain}, {"zeroed_grain", "on"}}, "_zeroed");
}

Subject plain(uint64_t disk_size, const char* grain) {
  Subject s = of_format("vmdk", disk_size, {{"grain_size", grain}});
  // Zeroes over a parent it can only tell when it knows of one.
  s.is_base = true;
  return s;
}

Subject child(uint64_t disk_size, const char* grain, const char* zeroed_grains) {
  const Options options{{"grain_size", grain}, {"zeroed_grain", zeroed_grains}};
  const bool can_hide = std::string_view(zeroed_grains) == "on";
  Subject s = of_format("vmdk", disk_size, options, can_hide ? "_child" : "_child_plain");
  s.is_child = true;
  // What a parent has behind the end it could not hide.
  s.can_resize = can_hide;
  s.create = [=](const FilePtr& file) -> Result<void> {
    const ParentLink parent{.reference = "parent.vmdk", .content_id = "12345678"};
    const auto writer = TRY(find_format("vmdk")->create(
        CreateRequest{.file = file, .size = disk_size, .options = options, .parent = parent}));
    return writer->finish();
  };
  return s;
}

// As others leave it: no grain table is there yet.
Subject without_tables(uint64_t disk_size) {
  constexpr uint64_t kRedundant = 21 * 512, kDirectory = 26 * 512;
  Subject s = zeroed(disk_size, "4k");
  s.name += "_without_tables";
  // What leaks in front of a table stays there.
  s.can_repair = false;
  s.create = [create = s.create](const FilePtr& file) -> Result<void> {
    TRY(create(file));
    for (const uint64_t at : {kRedundant, kDirectory}) {
      TRY(file->write(at, as_bytes_of(le32(0))));
    }
    return file->sync();
  };
  return s;
}

// The disk's bytes in a file as they are, with a descriptor that is made for each opening: what it
// is told of the disk is lost.
Subject flat(uint64_t disk_size) {
  Subject s{.name = "vmdk_flat", .disk_size = disk_size};
  s.create = [=](const FilePtr& file) -> Result<void> {
    TRY(file->resize(disk_size));
    return file->sync();
  };
  s.open = [=](const FilePtr& file, Epochs& epochs, bool writable) -> Result<ImagePtr> {
    const std::string text = "version=1\nCID=00000001\ncreateType=\"monolithicFlat\"\nRW " +
                             std::to_string(disk_size / 512) + " FLAT \"flat\" 0\n";
    const auto parts = map_resolver({{"flat", file}});
    return find_format("vmdk")->open(
        OpenRequest{.file = std::make_shared<MemoryFile>("descriptor", bytes_of(text)),
                    .resolver = *parts,
                    .tables = std::make_shared<PageCache>(64 * KiB),
                    .writable = writable,
                    .epochs = &epochs});
  };
  s.fault = [](const FilePtr&) { return std::optional<std::string>(); };
  return s;
}

}  // namespace

std::vector<Subject> vmdk_subjects() {
  return {zeroed(kVmdkSize, "4k"), plain(kVmdkSize, "4k"), child(kVmdkSize, "4k", "on"),
          child(kVmdkSize, "8k", "off"), without_tables(kVmdkSize)};
}

std::vector<Subject> larger_vmdk_subjects() {
  return {zeroed(100 * KiB, "4k"),
          zeroed(300 * KiB + 512, "16k"),
          plain(600 * KiB, "64k"),
          child(100 * KiB, "4k", "on"),
          child(64 * KiB, "8k", "off"),
          without_tables(100 * KiB),
          flat(100 * KiB)};
}

}  // namespace platter::test
