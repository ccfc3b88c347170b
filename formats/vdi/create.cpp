// Blocks go to the file in the order they are written. Their numbers go into the block map piece
// by piece: the map of a large disk is never held whole. The header comes last, behind a sync.
#include "formats/vdi/create.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "formats/vdi/layout.h"
#include "lib/base/checked.h"
#include "lib/base/text.h"

namespace platter::vdi {
namespace {

// VirtualBox's own layout.
constexpr uint64_t kMapOffset = 4096;
constexpr uint64_t kDataAlignment = 4096;
// Of the map: what of it is held at a time.
constexpr uint64_t kPieceEntries = 16384;

// The header has 32 bits for the place of the data.
constexpr uint64_t kMaxBlocks = (0xffffffff - kMapOffset - kDataAlignment) / 4;

// What is to be made.
struct NewDisk {
  uint64_t size = 0;  // of the disk, bytes
  bool fixed = false;
  uint64_t block_size = kDefaultBlockSize;
  std::optional<ParentLink> parent;
};

// The block map on its way to the file, first entry to last.
class MapWriter {
 public:
  MapWriter(File& file, uint64_t entries) : file_(file), entries_(entries) {}

  // entry: the next one, or behind it: those between are free.
  Result<void> put(uint64_t entry, uint32_t value) {
    TRY(skip_to(entry));
    return append(1, value);
  }
  // What is left is free.
  Result<void> finish() {
    TRY(skip_to(entries_));
    return flush();
  }
  uint64_t next() const { return next_; }

 private:
  Result<void> skip_to(uint64_t entry) {
    while (next_ < entry)
      TRY(append(std::min(entry - next_, kPieceEntries - piece_.size()), kFree));
    return {};
  }
  // count: at most what the piece has room for.
  Result<void> append(uint64_t count, uint32_t value) {
    piece_.insert(piece_.end(), count, le32(value));
    next_ += count;
    return piece_.size() == kPieceEntries ? flush() : Result<void>();
  }
  Result<void> flush() {
    const uint64_t first = next_ - piece_.size();
    TRY(file_.write(kMapOffset + 4 * first, std::as_bytes(std::span(piece_))));
    piece_.clear();
    return {};
  }

  File& file_;
  uint64_t entries_;
  uint64_t next_ = 0;
  std::vector<le32> piece_;  // the entries before next_ that are not in the file yet
};

class VdiWriter final : public ImageWriter {
 public:
  VdiWriter(FilePtr file, const NewDisk& plan)
      : file_(std::move(file)),
        size_(plan.size),
        fixed_(plan.fixed),
        block_size_(plan.block_size),
        parent_(plan.parent),
        blocks_(div_up(size_, block_size_)),
        data_offset_(align_up(kMapOffset + 4 * blocks_, kDataAlignment)),
        map_(*file_, blocks_) {}

  uint64_t block_size() const override { return block_size_; }
  Result<void> write(uint64_t offset, Bytes data) override;
  Result<void> zero(const Range& range) override;
  Result<void> finish() override;

 private:
  bool is_next(uint64_t offset, uint64_t length) const;
  Result<void> write_header();

  FilePtr file_;
  uint64_t size_;  // of the disk, bytes
  bool fixed_;
  uint64_t block_size_;
  std::optional<ParentLink> parent_;
  uint64_t blocks_;
  uint64_t data_offset_;
  uint64_t allocated_ = 0;  // blocks in the file
  MapWriter map_;
};

// Whole blocks behind all others, but for the one in which the disk ends.
bool VdiWriter::is_next(uint64_t offset, uint64_t length) const {
  return offset % block_size_ == 0 && offset / block_size_ >= map_.next() &&
         fits(offset, length, size_) && (length % block_size_ == 0 || offset + length == size_);
}

Result<void> VdiWriter::write(uint64_t offset, Bytes data) {
  if (!is_next(offset, data.size())) {
    return Error(Errc::out_of_range,
                 fmt::format("{} bytes at {} are not the next whole blocks", data.size(), offset));
  }
  const uint64_t first = offset / block_size_;
  const uint64_t count = div_up(data.size(), block_size_);
  const uint64_t number = fixed_ ? first : allocated_;
  TRY(file_->write(data_offset_ + number * block_size_, data));
  // The blocks of a fixed image that nobody writes are in the file as well.
  const uint64_t from = fixed_ ? map_.next() : first;
  for (uint64_t block = from; block < first + count; ++block) {
    TRY(map_.put(block, static_cast<uint32_t>(fixed_ ? block : number + (block - first))));
  }
  allocated_ = number + count;
  return {};
}

Result<void> VdiWriter::zero(const Range& range) {
  if (fixed_) return ImageWriter::zero(range);
  if (!is_next(range.offset, range.length)) {
    return Error(Errc::out_of_range, fmt::format("{} zeroes at {} are not the next whole blocks",
                                                 range.length, range.offset));
  }
  const uint64_t end = div_up(range.end(), block_size_);
  for (uint64_t block = range.offset / block_size_; block < end; ++block) {
    TRY(map_.put(block, kZero));
  }
  return {};
}

Result<void> VdiWriter::finish() {
  if (fixed_) {
    while (map_.next() < blocks_) TRY(map_.put(map_.next(), static_cast<uint32_t>(map_.next())));
    allocated_ = blocks_;
  }
  TRY(map_.finish());
  // The last block is stored whole, though the disk may end in it.
  TRY(file_->resize(data_offset_ + allocated_ * block_size_));
  // With the header the file is an image: all else has to be there before, whatever happens.
  TRY(file_->sync());
  TRY(write_header());
  return file_->sync();
}

Result<void> VdiWriter::write_header() {
  PreHeader pre;
  constexpr std::string_view kText = "<<< Platter VDI disk image >>>\n";
  std::copy(kText.begin(), kText.end(), pre.text.begin());
  pre.signature = kSignature;
  pre.version = kVersion11;
  Header1 header;
  header.header_size = sizeof header;
  header.type = static_cast<uint32_t>(parent_  ? Type::differencing
                                      : fixed_ ? Type::fixed
                                               : Type::dynamic);
  header.map_offset = static_cast<uint32_t>(kMapOffset);
  header.data_offset = static_cast<uint32_t>(data_offset_);
  header.legacy_geometry.sector_size = kSectorSize;
  // Disks have whole sectors: QEMU and VirtualBox accept nothing else.
  header.disk_size = align_up(size_, kSectorSize);
  header.block_size = static_cast<uint32_t>(block_size_);
  header.blocks = static_cast<uint32_t>(blocks_);
  header.blocks_allocated = static_cast<uint32_t>(allocated_);
  header.uuid = Uuid::random().to_microsoft();
  header.modification_uuid = Uuid::random().to_microsoft();
  if (parent_) {
    header.parent_uuid = parent_->uuid->to_microsoft();
    header.parent_modification_uuid = parent_->modification_uuid.value_or(Uuid{}).to_microsoft();
  }
  header.lchs.sector_size = kSectorSize;
  TRY(file_->write(sizeof pre, as_bytes_of(header)));
  return file_->write(0, as_bytes_of(pre));
}

Result<bool> switch_of(const Options& options) {
  const auto given = options.find("static");
  if (given == options.end() || given->second == "off") return false;
  if (given->second == "on") return true;
  return Error(Errc::invalid, fmt::format("static={}: must be on or off", given->second));
}

Result<uint64_t> block_size_of(const Options& options) {
  const auto given = options.find("block_size");
  if (given == options.end()) return kDefaultBlockSize;
  const auto size = parse_size(given->second);
  if (!size || !std::has_single_bit(*size) || *size < kSectorSize || *size > kMaxBlockSize) {
    return Error(Errc::invalid, fmt::format("block_size={}: must be a power of two from {} to {}",
                                            given->second, kSectorSize, kMaxBlockSize));
  }
  return *size;
}

}  // namespace

Result<void> check_parent(const ParentLink& parent) {
  if (!parent.format.empty() && parent.format != "vdi") {
    return Error(Errc::invalid,
                 fmt::format("the parent is {}: a VDI can only have another VDI", parent.format));
  }
  if (parent.uuid && !parent.uuid->is_nil()) return {};
  return Error(Errc::invalid, "the parent has no UUID, and a VDI names its parent by nothing else");
}

Result<ImageWriterPtr> create_vdi(const CreateRequest& request) {
  NewDisk plan{.size = request.size, .parent = request.parent};
  plan.fixed = TRY(switch_of(request.options));
  plan.block_size = TRY(block_size_of(request.options));
  if (request.parent) {
    if (plan.fixed) return Error(Errc::invalid, "static=on: a differencing image cannot be static");
    TRY(check_parent(*request.parent));
  }
  if (request.size == 0) return Error(Errc::invalid, "a VDI of 0 bytes: it has to hold something");
  if (request.size > kMaxBlocks * plan.block_size) {
    return Error(Errc::invalid,
                 fmt::format("a VDI of {}: at most {} are possible", human_size(request.size),
                             human_size(kMaxBlocks * plan.block_size)));
  }
  return ImageWriterPtr(std::make_unique<VdiWriter>(request.file, plan));
}

}  // namespace platter::vdi
