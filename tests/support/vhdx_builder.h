// VhdxBuilder: VHDX files byte by byte, right and wrong ones. Knows the offsets of the format by
// number, so that it checks the structures of formats/vhdx instead of sharing them.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/image/image.h"
#include "lib/io/memory_file.h"

namespace platter::test {

struct VhdxBuilder {
  struct Region {
    std::string guid;
    uint64_t offset = 0;
    uint32_t length = 0;
    uint32_t required = 1;
  };
  struct Item {
    std::string guid;
    std::vector<std::byte> bytes;
    uint32_t offset = 0;  // 0: behind the others
    std::optional<uint32_t> length;
    uint32_t flags = 6;
  };
  struct Page {
    uint64_t offset = 0;
    std::vector<std::byte> bytes;  // 4096
  };
  // An entry of the log.
  struct Entry {
    uint64_t at = 0;  // in the log
    uint64_t sequence = 1;
    uint64_t tail = 0;
    std::vector<Page> pages;
    std::vector<platter::Range> zeroes = {};
    std::optional<Uuid> guid = {};  // else log_guid
    uint64_t flushed = 0, last = 0;
    uint32_t extra_sectors = 0;  // behind what it needs
    // Changes its bytes before, or after, the checksum is made.
    std::function<void(std::vector<std::byte>&)> before_checksum = {}, after_checksum = {};
  };

  static constexpr uint64_t kLog = 1 << 20, kMetadata = 2 << 20, kBat = 3 << 20, kData = 4 << 20;
  static constexpr const char* kBatGuid = "2dc27766-f623-4200-9d64-115e9bfd4a08";
  static constexpr const char* kMetadataGuid = "8b7ca206-4790-4b9a-b8fe-575f050f886e";

  std::string signature = "vhdxfile";
  std::string creator = "a test";
  uint64_t sequences[2] = {1, 2};
  uint16_t version = 1, log_version = 0;
  Uuid file_write = *Uuid::parse("11111111-2222-4333-8444-555555555555");
  Uuid data_write = *Uuid::parse("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee");
  Uuid log_guid;  // nil: the log is empty
  uint64_t log_offset = kLog;
  uint32_t log_length = 1 << 20;

  std::vector<Region> regions = {{kMetadataGuid, kMetadata, 1 << 20}, {kBatGuid, kBat, 1 << 20}};

  uint32_t block_size = 1 << 20;
  uint32_t parameters = 0;  // 1: fixed, 2: has a parent
  uint64_t disk_size = 4 << 20;
  uint32_t sector_size = 512, physical_sector_size = 4096;
  Uuid disk_id = *Uuid::parse("01234567-89ab-4def-8123-456789abcdef");
  std::vector<std::pair<std::string, std::string>> locator;  // with 2 in parameters
  std::function<void(std::vector<Item>&)> change_items;

  std::map<uint64_t, uint64_t> bat;  // entries by their index
  std::vector<Entry> log;
  // What lies where in the file: so many bytes that begin with this one and count up every 512.
  struct Data {
    uint64_t offset = 0, length = 0;
    uint8_t first = 0;
  };
  std::vector<Data> data;
  std::map<uint64_t, std::vector<std::byte>> bytes;  // likewise, as they are
  // The last words: bytes put over what has been built. Checksums are made behind those of the
  // first kind that lie in headers and region tables.
  std::map<uint64_t, uint64_t> words32, words64;
  std::map<uint64_t, uint64_t> broken32;
  std::optional<uint64_t> file_size;  // else whole MiB

  // A block of data at the n-th place behind the tables, and its entry.
  void put_block(uint64_t index, uint64_t n, uint8_t first, uint64_t state = 6);

  std::shared_ptr<MemoryFile> file(const std::string& name = "test.vhdx") const;
};

// A parent locator's bytes.
std::vector<std::byte> vhdx_locator(const std::vector<std::pair<std::string, std::string>>& pairs);

// What byte i of a run of data that begins with first is.
inline std::byte vhdx_byte(uint8_t first, uint64_t i) {
  return static_cast<std::byte>(static_cast<uint8_t>(first + i / 512));
}

// Opens it as a VHDX that may name no other file.
Result<ImagePtr> open_vhdx(FilePtr file, bool info_only = false);

// Puts right the checksum of the n-th header, or region table, of a file.
void seal_vhdx_header(File& file, size_t n);
void seal_vhdx_regions(File& file, size_t n);

}  // namespace platter::test

namespace platter::vhdx {

// The first block, where the builder puts it.
inline constexpr uint64_t kData = test::VhdxBuilder::kData;

}  // namespace platter::vhdx
