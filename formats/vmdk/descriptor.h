// Descriptor: the text that says what a VMDK is made of; kept line by line, so that what is not
// understood stays as it was.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"
#include "lib/image/image.h"

namespace platter::vmdk {

// RW 4192256 SPARSE "disk-s001.vmdk"
struct ExtentLine {
  enum class Access : unsigned char { read_write, read_only, none };
  Access access = Access::read_write;
  uint64_t sectors = 0;  // at least 1; all of a descriptor together are at most kMaxOffset bytes
  std::string type;      // upper case: FLAT, SPARSE …
  std::string file;      // as stored; empty: none
  uint64_t offset = 0;   // in the file, sectors; of FLAT
};

class Descriptor {
 public:
  // More of them are refused: each has a file to be opened.
  static constexpr size_t kMaxExtents = 4096;
  // Bytes of a text.
  static constexpr uint64_t kMaxText = uint64_t{1} << 20;

  // Whether a text that begins like this is a descriptor at all.
  static bool is_one(std::string_view head);

  // text: ends with its first NUL, if it has one. Errc::wrong_format: no descriptor; unsupported:
  // of a later version; corrupt: an extent line that cannot be, too many of them, or none.
  static Result<Descriptor> parse(std::string_view text);

  std::string text() const;
  const std::vector<ExtentLine>& extents() const { return extents_; }
  // Of the disk, bytes.
  uint64_t disk_size() const { return disk_size_; }

  // The value of the first line with this key (any case), without its quotes; empty: there is none.
  std::optional<std::string> value(std::string_view key) const;
  // Of four bytes in hexadecimal digits, as eight lower case ones; empty: there is no such value.
  std::optional<std::string> hex_value(std::string_view key) const;
  std::optional<Uuid> uuid_value(std::string_view key) const;
  // By the names behind "ddb.geometry."; empty: not set.
  std::optional<Geometry> geometry(std::string_view cylinders, std::string_view heads,
                                   std::string_view sectors) const;

  // Changes the value, in quotes if it was or is new; a new key of the "ddb." kind goes to the end,
  // any other behind the last key in front of the extents. value: without quotes, line ends, NULs.
  void set(std::string_view key, std::string_view value);
  void remove(std::string_view key);
  // Of the extent of this index.
  void set_sectors(size_t index, uint64_t sectors);

 private:
  struct Line {
    std::string text;  // with its end
    std::string key;   // lower case; empty: it has none
    Range value = {};  // in text, without quotes
  };

  Result<void> add(std::string_view line);
  Result<void> add_extent(std::string_view line);
  Line* find(std::string_view key);
  static Line make_line(std::string_view text);

  std::vector<Line> lines_;
  std::vector<ExtentLine> extents_;
  std::vector<size_t> extent_lines_;  // of each, its line
  uint64_t disk_size_ = 0;
};

// Whether a value can stand in a line: no quotes, line ends, NULs.
bool fits_in_quotes(std::string_view value);

// Of the letters of ASCII.
std::string lower_case(std::string_view text);

}  // namespace platter::vmdk
