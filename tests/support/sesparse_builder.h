// SeSparseBuilder: seSparse extents byte by byte, right and wrong ones. Knows the offsets of the
// format by number, so that it checks the structures of formats/vmdk instead of sharing them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/image/image.h"
#include "lib/io/memory_file.h"

namespace platter::test {

struct SeSparseBuilder {
  static constexpr uint64_t kGrain = 4096, kPerTable = 4096;
  static constexpr uint64_t kUnmapped = uint64_t{1} << 60, kZero = uint64_t{2} << 60;
  // The entry of the grain of this number.
  static uint64_t stored(uint64_t number) {
    return uint64_t{3} << 60 | (number & 0xfff) << 48 | number >> 12;
  }

  uint64_t sectors = 64;                // of the disk
  std::map<uint64_t, uint64_t> grains;  // number on the disk to entry; others are 0
  // Tables lie in the file in this order; those not named follow, by their places on the disk.
  std::vector<uint64_t> table_order;
  unsigned stored_grains = 0;  // in the file: each is full of its number + 1
  // The last words: put over what has been built.
  std::map<uint64_t, uint64_t> words;
  std::optional<uint64_t> file_size;

  // In sectors, as built.
  static constexpr uint64_t kVolatile = 1, kDirectory = 4;
  uint64_t directory_sectors() const;
  uint64_t tables_at() const { return kDirectory + directory_sectors(); }
  uint64_t grains_at() const;  // a multiple of a grain

  std::vector<std::byte> build() const;
  std::shared_ptr<MemoryFile> file(const std::string& name = "x-sesparse.vmdk") const;

 private:
  std::vector<uint64_t> tables() const;
};

}  // namespace platter::test
