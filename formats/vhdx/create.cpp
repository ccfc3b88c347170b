// Blocks go to the file in the order they are written; their entries go into the BAT piece by
// piece: that of a large disk is never held whole. What makes the file a VHDX comes last, behind a
// sync.
#include "formats/vhdx/create.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "formats/vhdx/new_layout.h"
#include "lib/base/text.h"
#include "lib/base/zeroes.h"

namespace platter::vhdx {
namespace {

// Of the BAT: what of it is held at a time.
constexpr uint64_t kPieceOfBat = 16384;

// The BAT on its way to the file, first entry to last.
class BatWriter {
 public:
  // rest: the entry of blocks that are not put.
  BatWriter(File& file, uint64_t at, const Shape& shape, uint64_t rest)
      : file_(file), at_(at), shape_(shape), rest_(rest) {}

  // block: the next one, or behind it.
  Result<void> put(uint64_t block, uint64_t entry) {
    TRY(skip_to(shape_.index_of(block)));
    TRY(append_entry(entry));
    next_block_ = block + 1;
    return {};
  }
  Result<void> finish() {
    TRY(skip_to(shape_.entries()));
    return flush();
  }
  uint64_t next_block() const { return next_block_; }

 private:
  Result<void> skip_to(uint64_t index) {
    // Zeroes are in the file already.
    if (rest_ == 0 && next_ < index) {
      TRY(flush());
      next_ = index;
    }
    while (next_ < index) TRY(append_entry(is_payload(next_) ? rest_ : 0));
    return {};
  }
  bool is_payload(uint64_t index) const {
    return !shape_.is_bitmap(index) && shape_.block_of(index) < shape_.blocks();
  }
  Result<void> append_entry(uint64_t entry) {
    piece_.emplace_back(entry);
    ++next_;
    return piece_.size() == kPieceOfBat ? flush() : Result<void>();
  }
  Result<void> flush() {
    const Bytes bytes = std::as_bytes(std::span(piece_));
    if (!bytes.empty() && !all_zero(bytes))
      TRY(file_.write(at_ + 8 * (next_ - piece_.size()), bytes));
    piece_.clear();
    return {};
  }

  File& file_;
  const uint64_t at_;
  const Shape& shape_;
  const uint64_t rest_;
  uint64_t next_ = 0, next_block_ = 0;
  std::vector<le64> piece_;  // the entries before next_ that are not in the file yet
};

class VhdxWriter final : public ImageWriter {
 public:
  VhdxWriter(FilePtr file, NewLayout layout, uint64_t rest)
      : file_(std::move(file)),
        layout_(std::move(layout)),
        bat_(*file_, layout_.bat().offset, layout_.shape, rest) {}

  uint64_t block_size() const override { return layout_.shape.block_size; }
  Result<void> write(uint64_t offset, Bytes data) override;
  Result<void> zero(const Range& range) override;
  Result<void> finish() override;

 private:
  Result<void> expect_next(uint64_t offset, uint64_t length) const;
  uint64_t place(uint64_t n) const { return layout_.data_offset() + n * block_size(); }
  Result<void> put_fixed(uint64_t end);
  Result<void> write_data(uint64_t at, Bytes data);

  const FilePtr file_;
  const NewLayout layout_;
  BatWriter bat_;
  uint64_t allocated_ = 0;  // blocks in the file
};

// Whole blocks behind all others, but for the one in which the disk ends.
Result<void> VhdxWriter::expect_next(uint64_t offset, uint64_t length) const {
  const uint64_t size = layout_.shape.disk_size;
  const bool whole =
      length % block_size() == 0 ||
      (length <= size && align_up(offset + length, layout_.shape.sector_size) == size);
  if (offset % block_size() == 0 && offset / block_size() >= bat_.next_block() &&
      fits(offset, length, size) && whole) {
    return {};
  }
  return Error(Errc::out_of_range,
               fmt::format("{} bytes at {} are not the next whole blocks", length, offset));
}

// Blocks in front of this one that are not there yet.
Result<void> VhdxWriter::put_fixed(uint64_t end) {
  for (uint64_t block = bat_.next_block(); block < end; ++block) {
    TRY(bat_.put(block, entry_of(State::fully_present, place(block))));
  }
  allocated_ = end;
  return {};
}

// Blocks are large: what is empty in them stays a hole.
Result<void> VhdxWriter::write_data(uint64_t at, Bytes data) {
  constexpr size_t kPiece = 64 * KiB;
  while (!data.empty()) {
    size_t n = 0;
    while (n < data.size() && !all_zero(data.subspan(n, std::min(kPiece, data.size() - n)))) {
      n += std::min(kPiece, data.size() - n);
    }
    if (n != 0) TRY(file_->write(at, data.first(n)));
    n = std::min(data.size(), n + kPiece);
    at += n;
    data = data.subspan(n);
  }
  return {};
}

Result<void> VhdxWriter::write(uint64_t offset, Bytes data) {
  TRY(expect_next(offset, data.size()));
  const uint64_t first = offset / block_size();
  const uint64_t count = div_up(data.size(), block_size());
  const uint64_t to = layout_.fixed ? first : allocated_;
  TRY(write_data(place(to), data));
  if (layout_.fixed) return put_fixed(first + count);
  for (uint64_t i = 0; i < count; ++i) {
    TRY(bat_.put(first + i, entry_of(State::fully_present, place(to + i))));
  }
  allocated_ = to + count;
  return {};
}

Result<void> VhdxWriter::zero(const Range& range) {
  TRY(expect_next(range.offset, range.length));
  // Nothing is in the file yet that is not zero.
  if (layout_.fixed) return put_fixed(div_up(range.end(), block_size()));
  const uint64_t end = div_up(range.end(), block_size());
  for (uint64_t block = range.offset / block_size(); block < end; ++block) {
    TRY(bat_.put(block, entry_of(State::zero)));
  }
  return {};
}

Result<void> VhdxWriter::finish() {
  if (layout_.fixed) TRY(put_fixed(layout_.shape.blocks()));
  TRY(bat_.finish());
  // The last block is stored whole, though the disk may end in it.
  TRY(file_->resize(place(allocated_)));
  TRY(write_structures(*file_, layout_));
  // With the identifier the file is an image: all else has to be there before, whatever happens.
  TRY(file_->sync());
  TRY(write_identifier(*file_));
  return file_->sync();
}

std::string_view option_of(const CreateRequest& request, std::string_view name) {
  const auto given = request.options.find(name);
  if (given != request.options.end()) return given->second;
  return std::find_if(kCreateOptions.begin(), kCreateOptions.end(),
                      [&](const OptionSpec& o) { return o.name == name; })
      ->fallback;
}

Error bad_option(std::string_view name, std::string_view value, std::string_view wanted) {
  return {Errc::invalid, fmt::format("{}={}: must be {}", name, value, wanted)};
}

Result<bool> on_or_off(const CreateRequest& request, std::string_view name) {
  const std::string_view value = option_of(request, name);
  if (value == "on" || value == "off") return value == "on";
  return bad_option(name, value, "on or off");
}

Result<uint64_t> block_size_of(const CreateRequest& request) {
  const std::string_view value = option_of(request, "block_size");
  if (value == "auto") {
    if (request.size > 32 * 1024 * GiB) return 64 * MiB;
    if (request.size > 100 * GiB) return 32 * MiB;
    return request.size > GiB ? 16 * MiB : 8 * MiB;
  }
  const uint64_t size = parse_size(value).value_or(0);
  if (!std::has_single_bit(size) || size < kMinBlockSize || size > kMaxBlockSize) {
    return bad_option("block_size", value, "a power of two from 1M to 256M, or auto");
  }
  return size;
}

Result<uint64_t> sector_size_of(const CreateRequest& request) {
  const std::string_view value = option_of(request, "logical_sector_size");
  const uint64_t size = parse_size(value).value_or(0);
  if (size == 512 || size == 4096) return size;
  return bad_option("logical_sector_size", value, "512 or 4096");
}

Result<uint64_t> log_size_of(const CreateRequest& request) {
  const std::string_view value = option_of(request, "log_size");
  const uint64_t size = parse_size(value).value_or(0);
  if (size != 0 && size % kUnit == 0 && size < 4 * GiB) return size;
  return bad_option("log_size", value, "a multiple of 1M, less than 4G");
}

Result<void> take_parent(const CreateRequest& request, NewLayout& layout) {
  if (!request.parent) return {};
  if (layout.fixed) {
    return Error(Errc::invalid, "fixed=on: a differencing image cannot be fixed");
  }
  layout.locator = TRY(with_parent({}, *request.parent));
  // The id is that of the disk, whatever images show it.
  if (request.parent->uuid) layout.disk_id = *request.parent->uuid;
  layout.shape.has_parent = true;
  return {};
}

}  // namespace

Result<ImageWriterPtr> create_vhdx(const CreateRequest& request) {
  if (request.size == 0) return Error(Errc::invalid, "a VHDX of 0 bytes: it has to hold something");
  if (request.size > kMaxDiskSize) {
    return Error(Errc::invalid, fmt::format("a VHDX of {}: at most {} are possible",
                                            human_size(request.size), human_size(kMaxDiskSize)));
  }
  NewLayout layout{.disk_id = Uuid::random()};
  layout.fixed = TRY(on_or_off(request, "fixed"));
  layout.shape.block_size = TRY(block_size_of(request));
  layout.shape.sector_size = TRY(sector_size_of(request));
  layout.shape.disk_size = align_up(request.size, layout.shape.sector_size);
  layout.log_size = TRY(log_size_of(request));
  const bool say_zero = TRY(on_or_off(request, "block_state_zero"));
  TRY(take_parent(request, layout));
  const bool absent = layout.locator.has_value() || !say_zero;
  return ImageWriterPtr(std::make_unique<VhdxWriter>(
      request.file, std::move(layout), entry_of(absent ? State::not_present : State::zero)));
}

}  // namespace platter::vhdx
