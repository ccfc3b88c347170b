// VmdkBuilder: hosted sparse VMDKs byte by byte, right and wrong ones. Knows the offsets of the
// format by number, so that it checks the structures of formats/vmdk instead of sharing them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/image/epochs.h"
#include "lib/image/image.h"
#include "lib/io/memory_file.h"
#include "lib/io/resolver.h"

namespace platter::test {

// One grain table of 512 entries, and a redundant one, unless the fields say otherwise; places and
// sizes in sectors.
struct VmdkBuilder {
  uint32_t magic = 0x564d444b;
  uint32_t version = 1;
  uint32_t flags = 3;
  uint64_t capacity = 75;
  uint64_t grain = 8;
  uint64_t descriptor_at = 1, descriptor_size = 20;
  uint32_t per_table = 512;
  uint64_t redundant_at = 21, directory_at = 26;
  uint64_t overhead = 32;
  uint8_t unclean = 0;
  std::string newlines = "\n \r\n";
  uint16_t compression = 0;
  // Its extent has the capacity, unless the text says otherwise.
  std::optional<std::string> descriptor;
  std::string more_lines;  // of the descriptor, in front of the extents
  std::string more_ddb;    // behind them
  // Entries of the table; what is not there is 0.
  std::vector<uint32_t> table;
  std::optional<std::vector<uint32_t>> redundant_table;  // else as the other
  // The grains, from overhead on: each one's bytes begin with this one and count up by sectors.
  std::vector<uint8_t> data;
  // The last words: put over what has been built, and its end.
  std::map<uint64_t, uint32_t> words;
  std::optional<uint64_t> file_size;  // bytes

  std::string text() const;
  std::vector<std::byte> build() const;
  std::shared_ptr<MemoryFile> file(const std::string& name = "test.vmdk") const;
};

// Where the entries of the builder's tables are, bytes.
inline constexpr uint64_t kVmdkRedundantTable = 22 * 512, kVmdkTable = 27 * 512;

// "version=1 …" with these lines for extents.
std::string vmdk_text(const std::string& type, const std::vector<std::string>& extents,
                      const std::string& more = "");

// Opens it as a VMDK that may name these files and no others.
Result<ImagePtr> open_vmdk(FilePtr file, const std::map<std::string, FilePtr>& others = {},
                           bool info_only = false);
Result<ImagePtr> open_writable_vmdk(const FilePtr& file, Epochs& epochs,
                                    const std::map<std::string, FilePtr>& others = {},
                                    bool info_only = false);

// What its check finds; a corruption when it cannot be opened.
CheckReport check_vmdk(const FilePtr& file);

// What a VMDK reads as, sector by sector its first byte; -1: it cannot be read. Empty: it does not
// open.
std::vector<int> sectors_of(const FilePtr& file, const std::map<std::string, FilePtr>& others = {});

uint32_t word_at(const File& file, uint64_t at);

}  // namespace platter::test
