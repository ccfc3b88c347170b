// VdiBuilder: VDI files byte by byte, right and wrong ones. Knows the offsets of the format by
// number, so that it checks the structures of formats/vdi instead of sharing them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/image/image.h"
#include "lib/io/memory_file.h"

namespace platter::test {

struct VdiBuilder {
  static constexpr uint32_t kFree = 0xffffffff, kZero = 0xfffffffe;

  uint32_t signature = 0xbeda107f;
  uint32_t version = 0x00010001;  // major 0 gives the old header, and fixes where things are
  uint32_t header_size = 400;
  uint32_t type = 1;
  uint32_t flags = 0;
  std::string comment;
  uint32_t map_offset = 512;
  std::optional<uint32_t> data_offset;  // else the first multiple of 512 behind the map
  uint32_t block_size = 4096;
  uint32_t block_extra = 0;
  std::vector<uint32_t> map;
  std::optional<uint64_t> disk_size;         // else all of the map
  std::optional<uint32_t> blocks;            // else what the map has
  std::optional<uint32_t> blocks_allocated;  // else what data has
  Uuid uuid = *Uuid::parse("11111111-2222-4333-8444-555555555555");
  Uuid modification_uuid = *Uuid::parse("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee");
  Uuid parent_uuid, parent_modification_uuid;
  uint32_t lchs[4] = {0, 0, 0, 512};
  // The blocks of the file: each one's bytes begin with this one and count up.
  std::vector<uint8_t> data;
  // The last words: bytes put over what has been built.
  std::map<uint64_t, uint64_t> words32;
  std::optional<uint64_t> file_size;  // else to the end of the last block

  uint64_t data_at() const;  // what stands in the header, or follows from it
  std::vector<std::byte> build() const;
  // The bytes in a file of memory; sparse where file_size is far behind.
  std::shared_ptr<MemoryFile> file(const std::string& name = "test.vdi") const;
};

// What byte i of a block of data that begins with first is.
inline std::byte vdi_byte(uint8_t first, uint64_t i) {
  return static_cast<std::byte>(static_cast<uint8_t>(first + i / 512));
}

// Opens it as a VDI that may name no other file.
Result<ImagePtr> open_vdi(FilePtr file, bool info_only = false);

}  // namespace platter::test
