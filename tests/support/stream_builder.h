// StreamBuilder: streamOptimized VMDKs byte by byte, right and wrong ones. Knows the offsets of the
// format by number, so that it checks the structures of formats/vmdk instead of sharing them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/image/image.h"
#include "lib/io/memory_file.h"

namespace platter::test {

struct StreamBuilder {
  // The tables lie behind the grains, with a footer; in front of them, as QEMU has it; nowhere.
  enum class Tables : unsigned char { behind, in_front, none };

  uint64_t sectors = 100;  // of the disk
  uint64_t grain = 16;     // sectors
  Tables tables = Tables::behind;
  std::map<uint64_t, int> grains;           // number on the disk: what each of its bytes is
  std::map<uint64_t, std::string> plain;    // a grain that decompresses to this instead
  std::map<uint64_t, std::string> streams;  // a grain whose compressed bytes are these instead
  std::map<uint64_t, uint32_t> sizes;       // of a grain's marker, instead
  std::map<uint64_t, uint64_t> firsts;      // of a grain's marker, instead
  std::map<uint64_t, uint32_t> entries;     // of the grain tables, instead
  std::map<uint64_t, uint32_t> directory;   // its entries, instead
  // The last words: put over what has been built; in the header, and in the footer.
  std::map<uint64_t, uint64_t> header64, footer64;
  std::map<uint64_t, uint32_t> header32, footer32;
  std::string behind;                  // the end of the stream
  std::optional<uint64_t> cut_behind;  // bytes of the file that are left

  // Bytes, of what build() made last.
  mutable std::map<uint64_t, uint64_t> grain_at;
  mutable uint64_t footer_at = 0;  // its marker

  std::vector<std::byte> build() const;
  std::shared_ptr<MemoryFile> file(const std::string& name = "stream.vmdk") const;
};

// RFC 1950.
std::string zlib_of(const std::string& text);

}  // namespace platter::test
