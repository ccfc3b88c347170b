// Blocks go to the file in the order they are written, and into the table piece by piece: that of a
// large disk is never held whole. The footers come last, behind a sync: without one the file is no
// VHD.
#include "formats/vhd/create.h"

#include <algorithm>
#include <bit>
#include <ctime>

#include <fmt/format.h>

#include "formats/vhd/footer.h"
#include "formats/vhd/geometry.h"
#include "formats/vhd/parent.h"
#include "formats/vhd/resize.h"
#include "formats/vhd/sectors.h"
#include "lib/base/checked.h"
#include "lib/base/text.h"

namespace platter::vhd {
namespace {

// Everybody's own layout.
constexpr uint64_t kHeaderOffset = kSector;
constexpr uint64_t kTableOffset = kHeaderOffset + sizeof(DynamicHeader);
// Of the table: what of it is held at a time.
constexpr uint64_t kPieceEntries = 16 * KiB;
// Of zeroes that are left out of a block.
constexpr uint64_t kUnit = 64 * KiB;

uint32_t seconds_since_2000() {
  return static_cast<uint32_t>(std::max<int64_t>(0, std::time(nullptr) - kEpoch));
}

// The creator is the one for which QEMU, too, takes the size in bytes: it goes by the geometry of
// names it does not know.
Footer new_footer(Type type, uint64_t disk_size) {
  Footer footer;
  footer.cookie = kFooterCookie;
  footer.features = 2;
  footer.version = kVersion;
  footer.header_offset = type == Type::fixed ? kNoOffset : kHeaderOffset;
  footer.created = seconds_since_2000();
  footer.creator = {'w', 'i', 'n', ' '};
  footer.creator_version = 0x000a0000;
  footer.creator_os = {'W', 'i', '2', 'k'};
  footer.original_size = disk_size;
  footer.type = static_cast<uint32_t>(type);
  footer.uuid = Uuid::random().bytes;
  set_disk_size(footer, disk_size);
  return sealed(footer);
}

Error not_next(uint64_t length, uint64_t offset) {
  return {Errc::out_of_range, fmt::format("{} bytes at {} are not the next ones", length, offset)};
}

class FixedWriter final : public ImageWriter {
 public:
  FixedWriter(FilePtr file, uint64_t size) : file_(std::move(file)), size_(size) {}

  uint64_t block_size() const override { return 4 * KiB; }
  Result<void> write(uint64_t offset, Bytes data) override {
    if (offset < next_ || !fits(offset, data.size(), size_)) return not_next(data.size(), offset);
    next_ = offset + data.size();
    return file_->write(offset, data);
  }
  // What nobody writes is a hole.
  Result<void> zero(const Range& range) override {
    return range.offset < next_ ? not_next(range.length, range.offset) : Result<void>();
  }
  Result<void> finish() override {
    // With the footer the file is an image: all else has to be there before.
    TRY(file_->sync());
    const uint64_t size = align_up(size_, kSector);
    TRY(file_->write(size, as_bytes_of(new_footer(Type::fixed, size))));
    return file_->sync();
  }

 private:
  const FilePtr file_;
  const uint64_t size_;  // of the disk, bytes
  uint64_t next_ = 0;
};

// The table on its way to the file, first entry to last.
class TableWriter {
 public:
  TableWriter(File& file, uint64_t entries) : file_(file), entries_(entries) {}

  // entry: the next one, or behind it: those between are unused.
  Result<void> put(uint64_t entry, uint32_t sector) {
    TRY(skip_to(entry));
    return append(1, sector);
  }
  // What is left is unused, up to the end of the last sector.
  Result<void> finish() {
    TRY(skip_to(align_up(entries_, kSector / sizeof(be32))));
    return flush();
  }
  uint64_t next() const { return next_; }

 private:
  Result<void> skip_to(uint64_t entry) {
    while (next_ < entry) {
      TRY(append(std::min(entry - next_, kPieceEntries - piece_.size()), kUnused));
    }
    return {};
  }
  // count: at most what the piece has room for.
  Result<void> append(uint64_t count, uint32_t sector) {
    piece_.insert(piece_.end(), count, be32(sector));
    next_ += count;
    return piece_.size() == kPieceEntries ? flush() : Result<void>();
  }
  Result<void> flush() {
    const uint64_t first = next_ - piece_.size();
    TRY(file_.write(kTableOffset + 4 * first, std::as_bytes(std::span(piece_))));
    piece_.clear();
    return {};
  }

  File& file_;
  const uint64_t entries_;
  uint64_t next_ = 0;
  std::vector<be32> piece_;  // the entries before next_ that are not in the file yet
};

// What is to be made, but for fixed disks.
struct Plan {
  uint64_t size = 0;        // of the disk, bytes
  uint64_t block_size = 0;  // bytes
  Type type = Type::dynamic;
  DynamicHeader header;            // says who the parent is
  std::vector<std::byte> locator;  // its text

  uint64_t blocks() const { return div_up(size, block_size); }
  uint64_t locator_offset() const { return align_up(kTableOffset + 4 * blocks(), kSector); }
  uint64_t data_offset() const { return locator_offset() + locator_space(locator.size()); }
};

class DynamicWriter final : public ImageWriter {
 public:
  DynamicWriter(FilePtr file, const Plan& plan)
      : file_(std::move(file)),
        plan_(plan),
        end_(plan.data_offset()),
        table_(*file_, plan.blocks()) {}

  // What is left out of a block is a hole of the file, and in a child the parent's.
  uint64_t block_size() const override { return std::min(plan_.block_size, kUnit); }
  Result<void> write(uint64_t offset, Bytes data) override;
  Result<void> zero(const Range& range) override;
  Result<void> finish() override;

 private:
  bool is_child() const { return plan_.type == Type::differencing; }
  Result<void> expect_next(const Range& range) const;
  // part: of one block, the next one, or the one that was the next. Gives where it goes.
  Result<uint64_t> put(const Range& part);
  Result<void> finish_block();
  Result<void> write_headers();

  const FilePtr file_;
  const Plan plan_;
  std::vector<std::byte> bitmap_;  // of the last block; it comes to the file behind the data
  uint64_t end_;                   // of the blocks in the file, bytes
  uint64_t next_ = 0;              // of the disk, bytes
  TableWriter table_;
};

Result<void> DynamicWriter::expect_next(const Range& range) const {
  const uint64_t unit = block_size();
  const bool whole =
      range.offset % unit == 0 && (range.length % unit == 0 || range.end() == plan_.size);
  if (whole && range.offset >= next_ && fits(range.offset, range.length, plan_.size)) return {};
  return not_next(range.length, range.offset);
}

Result<void> DynamicWriter::finish_block() {
  if (bitmap_.empty()) return {};
  return file_->write(end_ - plan_.block_size - bitmap_.size(), bitmap_);
}

Result<uint64_t> DynamicWriter::put(const Range& part) {
  const uint64_t block = part.offset / plan_.block_size, inside = part.offset % plan_.block_size;
  if (block >= table_.next()) {
    TRY(finish_block());
    bitmap_.assign(bitmap_size(plan_.block_size), is_child() ? std::byte{0} : std::byte{0xff});
    TRY(table_.put(block, static_cast<uint32_t>(end_ / kSector)));
    end_ += bitmap_.size() + plan_.block_size;
  }
  set_bits(bitmap_, inside / kSector, div_up(inside + part.length, kSector));
  return end_ - plan_.block_size + inside;
}

Result<void> DynamicWriter::write(uint64_t offset, Bytes data) {
  TRY(expect_next({offset, data.size()}));
  next_ = offset + data.size();
  while (!data.empty()) {
    const Range block = align_out({offset, 1}, plan_.block_size);
    const Range part = intersect(block, {offset, data.size()});
    const uint64_t host = TRY(put(part));
    TRY(file_->write(host, data.first(part.length)));
    offset += part.length;
    data = data.subspan(part.length);
  }
  return {};
}

// Where nothing is written a new block reads as zeroes; those of a child hide its parent's.
Result<void> DynamicWriter::zero(const Range& range) {
  TRY(expect_next(range));
  next_ = range.end();
  for (Range rest = range; is_child() && !rest.empty();) {
    const Range part = intersect(align_out({rest.offset, 1}, plan_.block_size), rest);
    TRY(put(part));
    rest = {part.end(), rest.length - part.length};
  }
  return {};
}

Result<void> DynamicWriter::finish() {
  TRY(finish_block());
  TRY(table_.finish());
  TRY(write_headers());
  // The last block is stored whole, though nobody may have written its end.
  TRY(file_->resize(end_));
  TRY(file_->sync());
  const Footer footer = new_footer(plan_.type, align_up(plan_.size, kSector));
  TRY(file_->write(end_, as_bytes_of(footer)));
  TRY(file_->write(0, as_bytes_of(footer)));
  return file_->sync();
}

Result<void> DynamicWriter::write_headers() {
  DynamicHeader header = plan_.header;
  header.cookie = kHeaderCookie;
  header.next = kNoOffset;
  header.table_offset = kTableOffset;
  header.version = kVersion;
  header.entries = static_cast<uint32_t>(plan_.blocks());
  header.block_size = static_cast<uint32_t>(plan_.block_size);
  place_locator(header, plan_.locator_offset(), plan_.locator.size());
  header = sealed(header);
  TRY(file_->write(kHeaderOffset, as_bytes_of(header)));
  return file_->write(plan_.locator_offset(), plan_.locator);
}

Result<bool> fixed_option(const Options& options) {
  const auto given = options.find("fixed");
  if (given == options.end() || given->second == "off") return false;
  if (given->second == "on") return true;
  return Error(Errc::invalid, fmt::format("fixed={}: must be on or off", given->second));
}

Result<uint64_t> block_size_option(const Options& options) {
  const auto given = options.find("block_size");
  if (given == options.end()) return kDefaultBlockSize;
  const auto size = parse_size(given->second);
  if (!size || !std::has_single_bit(*size) || *size < kMinBlockSize || *size > kMaxBlockSize) {
    return Error(Errc::invalid, fmt::format("block_size={}: must be a power of two from {} to {}",
                                            given->second, kMinBlockSize, kMaxBlockSize));
  }
  return *size;
}

Result<ImageWriterPtr> create_fixed(const CreateRequest& request) {
  if (request.parent) {
    return Error(Errc::invalid, "fixed=on: a differencing image cannot be fixed");
  }
  TRY(check_disk_size(request.size, 0));
  return ImageWriterPtr(std::make_unique<FixedWriter>(request.file, request.size));
}

}  // namespace

Result<ImageWriterPtr> create_vhd(const CreateRequest& request) {
  const bool fixed = TRY(fixed_option(request.options));
  Plan plan{.size = request.size, .block_size = TRY(block_size_option(request.options))};
  if (request.size == 0) return Error(Errc::invalid, "a VHD of 0 bytes: it has to hold something");
  if (fixed) return create_fixed(request);
  TRY(check_disk_size(request.size, plan.block_size));
  if (request.parent) {
    plan.type = Type::differencing;
    plan.locator = TRY(name_parent(*request.parent, plan.header));
  }
  return ImageWriterPtr(std::make_unique<DynamicWriter>(request.file, plan));
}

}  // namespace platter::vhd
