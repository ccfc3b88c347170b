// DmgBuilder: disk images of Apple byte by byte, right and wrong ones. Knows the offsets of the
// format by number, so that it checks the structures of formats/dmg instead of sharing them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/image/image.h"
#include "lib/io/memory_file.h"

namespace platter::test {

inline constexpr uint32_t kDmgZero = 0, kDmgRaw = 1, kDmgIgnored = 2, kDmgComment = 0x7ffffffe;
inline constexpr uint32_t kDmgAdc = 0x80000004, kDmgZlib = 0x80000005, kDmgBzip2 = 0x80000006;
inline constexpr uint32_t kDmgLzfse = 0x80000007, kDmgXz = 0x80000008, kDmgEnd = 0xffffffff;

// What is stored of plain in a chunk of this type.
std::vector<std::byte> dmg_stored(uint32_t type, Bytes plain);

struct DmgBuilder {
  struct Chunk {
    uint32_t type = 0;
    uint64_t first = 0, sectors = 0;  // of its part
    std::vector<std::byte> stored = {};
    std::optional<uint64_t> offset = {};  // else where stored comes to lie
    std::optional<uint64_t> length = {};  // else that of stored
    uint32_t comment = 0;
  };
  struct Part {
    std::string name;
    uint64_t first = 0, sectors = 0;
    std::vector<Chunk> chunks = {};  // the end mark is added
    uint32_t crc = 0;
    std::map<size_t, uint64_t> words32 = {}, words64 = {};  // put over the table
    std::optional<size_t> size = {};                        // of the table, cut to it
  };

  uint64_t sectors = 0;  // of the disk
  std::vector<Part> parts = {};
  std::map<size_t, uint64_t> words32 = {}, words64 = {};  // put over the trailer
  bool resource_fork = false;                     // tables are there, not in a property list
  bool trailer_first = false;                     // in front of the data fork
  bool checksums = true;                          // else of no type
  std::string behind = {};                        // the trailer
  std::optional<std::string> property_list = {};  // instead of the right one

  // A part with the next chunk of it, which stands for plain; its checksum follows along.
  static void add(Part& part, uint32_t type, Bytes plain);

  std::string build() const;
  std::shared_ptr<MemoryFile> file() const;
};

// Opens it as a disk image of Apple.
Result<ImagePtr> open_dmg(FilePtr file);

}  // namespace platter::test
