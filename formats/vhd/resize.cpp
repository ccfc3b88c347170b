// The footer at the end of the file says how large the disk is, and one write of that one sector
// changes it. Everything else is so before that the old disk does not see it, or so after it that
// the new one does not (README.md).
#include "formats/vhd/resize.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vhd/fill.h"
#include "formats/vhd/footer.h"
#include "formats/vhd/geometry.h"
#include "formats/vhd/mend.h"
#include "formats/vhd/moves.h"
#include "lib/base/text.h"

namespace platter::vhd {
namespace {

Footer with_size(const Parsed& parsed, uint64_t size) {
  Footer footer = parsed.footer;
  set_disk_size(footer, size);
  return sealed(footer);
}

// A dynamic disk on its way to another size.
class Resizing {
 public:
  Resizing(File& file, const Parsed& parsed, uint64_t size)
      : file_(file), parsed_(parsed), size_(size), blocks_(div_up(size, parsed.block_size)) {}

  Result<void> run() {
    TRY(expect_sound());
    tail_ = TRY(mend_footers(file_, parsed_));
    return size_ > parsed_.disk_size ? grow() : shrink();
  }

 private:
  Result<void> expect_sound() {
    scan_ = TRY(scan_table(file_, parsed_));
    return scan_.expect_sound();
  }

  Result<void> grow() {
    TRY(zero_behind_the_disk());
    // What a larger table has behind the disk's blocks is none of them.
    TRY(free_entries(file_, parsed_, parsed_.blocks(), parsed_.entries));
    TRY(file_.sync());
    if (blocks_ > parsed_.entries) TRY(lengthen_table());
    return replace_footer(file_, with_size(parsed_, size_), tail_);
  }

  // Its blocks are out of sight first, then nobody's, and what the file ends with goes.
  Result<void> shrink() {
    TRY(replace_footer(file_, with_size(parsed_, size_), tail_));
    TRY(free_entries(file_, parsed_, blocks_, parsed_.entries));
    const Parsed now = TRY(parse(file_));
    scan_ = TRY(scan_table(file_, now));
    for (const Range& gap : scan_.gaps) (void)file_.make_zero(gap, File::Zero::free_space);
    if (scan_.end >= tail_) return {};
    return cut_behind(file_, now.footer, scan_.end);
  }

  // The last block goes on behind the disk, with whatever its writer left there.
  Result<void> zero_behind_the_disk() {
    const uint64_t inside = parsed_.disk_size % parsed_.block_size;
    const uint64_t entry = parsed_.disk_size / parsed_.block_size;
    if (inside == 0) return {};
    const uint32_t sector = TRY(file_.read_struct<be32>(parsed_.table_offset + 4 * entry));
    if (sector == kUnused) return {};
    const uint64_t host = sector * kSector + parsed_.bitmap_size();
    const Range behind{host + inside, parsed_.block_size - inside};
    if (TRY(file_.make_zero(behind, File::Zero::free_space))) return {};
    return fill_range(file_, behind, std::byte{0});
  }

  // The table grows where it is; the blocks behind it, and the footer, give way.
  Result<void> lengthen_table() {
    const uint64_t end = align_up(parsed_.table_offset + 4 * blocks_, kSector);
    const Range added{parsed_.table_end(), end - parsed_.table_end()};
    for (const Range& place : parsed_.places()) {
      if (!intersect(place, added).empty()) {
        return Error(Errc::unsupported,
                     "block allocation table: the headers lie behind it: it cannot grow");
      }
    }
    TRY(clear(added));
    // Up to a sector's end, as all that follows the table begins at one.
    TRY(fill_range(file_, added, std::byte{0xff}));
    TRY(file_.sync());
    return write_entries();
  }

  Result<void> clear(const Range& added) {
    uint64_t to = std::max(tail_, added.end());
    std::vector<Move> moves;
    for (const BlockAt& block : scan_.blocks) {
      const bool nobodys = block.entry >= parsed_.blocks();
      if (nobodys || intersect({block.offset(), parsed_.stride()}, added).empty()) continue;
      moves.push_back({block, to});
      to += parsed_.stride();
    }
    if (to > kMaxFileSize) return Error(Errc::no_space, "the image cannot hold more blocks");
    if (to > tail_) TRY(move_footer_back(file_, parsed_.footer, to));
    tail_ = std::max(tail_, to);
    return move_blocks(file_, parsed_, moves);
  }

  // One write, of the first sector of the header.
  Result<void> write_entries() {
    DynamicHeader header = parsed_.header;
    header.entries = static_cast<uint32_t>(blocks_);
    header = sealed(header);
    TRY(file_.write(parsed_.header_offset, as_bytes_of(header).first(kSector)));
    return file_.sync();
  }

  File& file_;
  const Parsed& parsed_;
  const uint64_t size_, blocks_;  // that there will be
  TableScan scan_;
  uint64_t tail_ = 0;  // where the footer stands
};

}  // namespace

Result<void> check_disk_size(uint64_t size, uint64_t block_size) {
  uint64_t most = kMaxDiskSize;
  if (block_size != 0) {
    // The first MiB: headers and what names a parent.
    const uint64_t each = block_size + bitmap_size(block_size) + sizeof(be32);
    most = std::min(most, (kMaxFileSize - MiB) / each * block_size);
  }
  if (size <= most) return {};
  return Error(Errc::invalid, fmt::format("a VHD of {}: at most {} are possible", human_size(size),
                                          human_size(most)));
}

Result<void> resize_dynamic(File& file, const Parsed& parsed, uint64_t size) {
  if (parsed.type == Type::differencing) {
    return Error(Errc::unsupported, "a differencing VHD is as large as its parent: it stays so");
  }
  TRY(check_disk_size(size, parsed.block_size));
  size = align_up(size, kSector);
  // An earlier resize to this size need not be durable yet.
  if (size == parsed.disk_size) return file.sync();
  return Resizing(file, parsed, size).run();
}

namespace {

// The new footer comes last: until then the one at the end is of the old size.
Result<void> grow_fixed(File& file, const Parsed& parsed, const Footer& footer, uint64_t size) {
  const uint64_t tail = std::max(size, align_up(parsed.file_size, kSector));
  TRY(move_footer_back(file, parsed.footer, tail));
  // The old footer, and whatever else is in front of the new one.
  const uint64_t end = std::min(parsed.file_size, size);
  TRY(fill_range(file, {parsed.disk_size, end - parsed.disk_size}, std::byte{0}));
  TRY(file.sync());
  TRY(move_footer_back(file, footer, tail));
  return tail == size ? Result<void>() : cut_behind(file, footer, size);
}

Result<void> cut_fixed(File& file, const Parsed& parsed, const Footer& footer, uint64_t size) {
  uint64_t tail = parsed.data_end;
  if (tail % kSector != 0) {
    // What is no sector can be torn.
    tail = align_up(parsed.file_size, kSector);
    TRY(move_footer_back(file, parsed.footer, tail));
  }
  TRY(move_footer_back(file, footer, tail));
  return cut_behind(file, footer, size);
}

}  // namespace

// There is no second footer: each step leaves one at the end of the file.
Result<void> resize_fixed(File& file, const Parsed& parsed, uint64_t size) {
  TRY(check_disk_size(size, 0));
  size = align_up(size, kSector);
  if (size == parsed.disk_size) return file.sync();
  const Footer footer = with_size(parsed, size);
  return size > parsed.disk_size ? grow_fixed(file, parsed, footer, size)
                                 : cut_fixed(file, parsed, footer, size);
}

}  // namespace platter::vhd
