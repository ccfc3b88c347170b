// What a stream is, in this order, all of it whole sectors:
//
//     header, written last   says that the directory is in the footer
//     descriptor             20 sectors
//     grains                 each behind a marker, in the order of the disk; behind the last grain
//                            of a table a marker and the table
//     directory              behind a marker
//     footer                 behind a marker: the header, with the directory's place
//     end of the stream      a marker of zeroes
//
// Everything but the header and the descriptor is appended, so that a reader needs no second look.
#include "formats/vmdk/stream_writer.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "formats/vmdk/grain_layout.h"
#include "formats/vmdk/stream_encoder.h"
#include "lib/base/text.h"
#include "lib/base/zeroes.h"

namespace platter::vmdk {
namespace {

constexpr uint64_t kRoomForDescriptor = 20 * kSector;
constexpr uint64_t kStreamTableEntries = 512;
// More are an L1 table too big for QEMU.
constexpr uint64_t kMaxStreamDirectory = uint64_t{32} << 20;
// An entry is a sector's number.
constexpr uint64_t kMaxStream = (uint64_t{1} << 32) * kSector;
// The file is written in such pieces.
constexpr uint64_t kStreamPiece = MiB;
// Where grains begin: VMware leaves as much, with the grains it has.
constexpr uint64_t kMaxOverhead = 64 * KiB;

class StreamWriter final : public ImageWriter {
 public:
  StreamWriter(FilePtr file, NewStream stream)
      : file_(std::move(file)),
        stream_(std::move(stream)),
        encoder_(grain_encoder(stream_.effort)),
        overhead_(align_up(kSector + kRoomForDescriptor, std::min(stream_.grain, kMaxOverhead))),
        at_(overhead_) {}

  uint64_t block_size() const override { return stream_.grain; }
  const Encoder* encoder() const override { return &encoder_; }
  uint64_t max_stored() const override { return max_encoded(stream_.grain); }
  Result<void> write(uint64_t offset, Bytes data) override;
  Result<void> zero(const Range& range) override;
  Result<void> write_encoded(uint64_t offset, Bytes stored) override;
  Result<void> finish() override;

 private:
  uint64_t entries() const { return div_up(stream_.size, kStreamTableEntries * stream_.grain); }
  bool is_next(const Range& range) const;
  Result<size_t> encode(Bytes grain);
  Result<void> append_grain(uint64_t offset, Bytes encoded);
  Result<void> append_marker(uint64_t sectors, MarkerType type);
  Result<void> append(Bytes bytes);
  Result<void> pad();
  Result<void> flush();
  Result<uint32_t> sector() const;
  Result<void> finish_table();
  Result<uint32_t> append_directory();
  RawSparseHeader header(uint64_t directory) const;

  const FilePtr file_;
  const NewStream stream_;
  const Encoder& encoder_;
  const uint64_t overhead_;                  // bytes in front of the first grain
  uint64_t next_ = 0;                        // nothing behind it is written, bytes of the disk
  uint64_t at_;                              // where pending_ goes, bytes
  std::vector<std::byte> pending_;           // not in the file yet
  std::vector<std::byte> encoded_, padded_;  // of a grain
  uint64_t table_index_ = 0;
  std::vector<le32> table_;  // of that index; empty: none is held
  struct Table {
    uint32_t index = 0, sector = 0;
  };
  std::vector<Table> directory_;  // ascending
};

// Whole grains behind all others, but for the one in which the disk ends.
bool StreamWriter::is_next(const Range& range) const {
  return range.offset % stream_.grain == 0 && range.offset >= next_ && !range.empty() &&
         fits(range.offset, range.length, stream_.size) &&
         (range.length % stream_.grain == 0 || range.end() > stream_.size - kSector);
}

// The sector at which the next bytes go.
Result<uint32_t> StreamWriter::sector() const {
  const uint64_t end = at_ + pending_.size();
  if (end < kMaxStream) return static_cast<uint32_t>(end / kSector);
  return Error(Errc::no_space, fmt::format("grain table: its entries can name nothing behind {}",
                                           human_size(kMaxStream)));
}

Result<void> StreamWriter::flush() {
  if (pending_.empty()) return {};
  TRY(file_->write(at_, pending_));
  at_ += pending_.size();
  pending_.clear();
  return {};
}

Result<void> StreamWriter::append(Bytes bytes) {
  if (pending_.size() >= kStreamPiece) TRY(flush());
  platter::append(pending_, bytes);
  return {};
}

Result<void> StreamWriter::pad() {
  pending_.resize(align_up(pending_.size(), kSector));
  return {};
}

Result<void> StreamWriter::append_marker(uint64_t sectors, MarkerType type) {
  const RawMarker marker{.start = {.value = sectors, .size = 0},
                         .type = static_cast<uint32_t>(type)};
  TRY(append(as_bytes_of(marker)));
  return pad();
}

// Of encoded_.
Result<size_t> StreamWriter::encode(Bytes grain) {
  Bytes whole = grain;
  if (grain.size() < stream_.grain) {
    padded_.assign(stream_.grain, std::byte{0});
    std::ranges::copy(grain, padded_.begin());
    whole = padded_;
  }
  encoded_.resize(max_stored());
  const size_t length = TRY(encoder_.encode(whole, encoded_));
  if (length != 0) return length;
  return Error(Errc::io, "compressing: a grain became too large");
}

Result<void> StreamWriter::write(uint64_t offset, Bytes data) {
  if (!is_next({offset, data.size()})) {
    return Error(Errc::out_of_range,
                 fmt::format("{} bytes at {} are not the next whole grains", data.size(), offset));
  }
  for (uint64_t done = 0; done < data.size(); done += stream_.grain) {
    const Bytes grain = data.subspan(done, std::min(stream_.grain, data.size() - done));
    if (!stream_.child && all_zero(grain)) continue;
    const size_t length = TRY(encode(grain));
    TRY(append_grain(offset + done, Bytes(encoded_).first(length)));
  }
  next_ = offset + data.size();
  return {};
}

// There is no entry of a table that all readers take for zeroes: over a parent they are a grain.
Result<void> StreamWriter::zero(const Range& range) {
  if (!is_next(range)) {
    return Error(Errc::out_of_range, fmt::format("{} zeroes at {} are not the next whole grains",
                                                 range.length, range.offset));
  }
  next_ = range.end();
  if (!stream_.child) return {};
  const std::vector<std::byte> zeroes(stream_.grain);
  const size_t length = TRY(encode(zeroes));
  for (uint64_t at = range.offset; at < range.end(); at += stream_.grain) {
    TRY(append_grain(at, Bytes(encoded_).first(length)));
  }
  return {};
}

Result<void> StreamWriter::write_encoded(uint64_t offset, Bytes stored) {
  const uint64_t length = std::min(stream_.grain, stream_.size - std::min(stream_.size, offset));
  if (!is_next({offset, length}) || stored.empty() || stored.size() > max_stored()) {
    return Error(Errc::out_of_range, fmt::format("{} compressed bytes at {} are not the next grain",
                                                 stored.size(), offset));
  }
  next_ = offset + length;
  return append_grain(offset, stored);
}

Result<void> StreamWriter::append_grain(uint64_t offset, Bytes encoded) {
  const uint64_t grain = offset / stream_.grain, index = grain / kStreamTableEntries;
  if (table_.empty() || index != table_index_) {
    TRY(finish_table());
    table_index_ = index;
    table_.assign(kStreamTableEntries, le32(kNoGrain));
  }
  table_[grain % kStreamTableEntries] = TRY(sector());
  const RawGrainMarker marker{.value = offset / kSector,
                              .size = static_cast<uint32_t>(encoded.size())};
  TRY(append(as_bytes_of(marker)));
  platter::append(pending_, encoded);
  return pad();
}

Result<void> StreamWriter::finish_table() {
  if (table_.empty()) return {};
  const Bytes bytes = std::as_bytes(std::span(table_));
  TRY(append_marker(bytes.size() / kSector, MarkerType::grain_table));
  directory_.push_back({static_cast<uint32_t>(table_index_), TRY(sector())});
  TRY(append(bytes));
  table_.clear();
  return {};
}

// The sector it begins at. What of it has no entries is a hole of the file.
Result<uint32_t> StreamWriter::append_directory() {
  constexpr uint64_t kAtOnce = kSector / sizeof(le32);
  const uint64_t pieces = div_up(entries(), kAtOnce);
  TRY(append_marker(pieces, MarkerType::grain_directory));
  const uint32_t first = TRY(sector());
  auto table = directory_.begin();
  for (uint64_t piece = 0; piece < pieces; ++piece) {
    if (table == directory_.end() || table->index / kAtOnce > piece) {
      const uint64_t with = table == directory_.end() ? pieces : table->index / kAtOnce;
      TRY(flush());
      at_ += (with - piece) * kSector;
      piece = with - 1;
      continue;
    }
    std::vector<le32> part(kAtOnce);
    for (; table != directory_.end() && table->index / kAtOnce == piece; ++table) {
      part[table->index % kAtOnce] = table->sector;
    }
    TRY(append(std::as_bytes(std::span(part))));
  }
  return first;
}

RawSparseHeader StreamWriter::header(uint64_t directory) const {
  RawSparseHeader raw;
  raw.magic = kSparseMagic;
  raw.version = 3;
  raw.flags = kFlagNewlines | kFlagCompressed | kFlagMarkers;
  raw.capacity = stream_.size / kSector;
  raw.grain_size = stream_.grain / kSector;
  raw.descriptor_offset = 1;
  raw.descriptor_size = kRoomForDescriptor / kSector;
  raw.entries_per_table = static_cast<uint32_t>(kStreamTableEntries);
  raw.gd_offset = directory;
  raw.overhead = overhead_ / kSector;
  raw.newlines = kNewlines;
  raw.compression = kDeflate;
  return raw;
}

Result<void> StreamWriter::finish() {
  TRY(finish_table());
  const uint32_t directory = TRY(append_directory());
  TRY(append_marker(1, MarkerType::footer));
  TRY(append(as_bytes_of(header(directory))));
  TRY(append_marker(0, MarkerType::end_of_stream));
  TRY(flush());
  std::string area = stream_.descriptor;
  area.resize(kRoomForDescriptor, '\0');
  TRY(file_->write(kSector, std::as_bytes(std::span(area))));
  // With the header the file is an image: all else has to be there before, whatever happens.
  TRY(file_->sync());
  TRY(file_->write(0, as_bytes_of(header(kDirectoryInFooter))));
  return file_->sync();
}

}  // namespace

Result<ImageWriterPtr> create_stream(FilePtr file, NewStream stream) {
  const uint64_t most = kMaxStreamDirectory * kStreamTableEntries * stream.grain;
  if (stream.size > most) {
    return Error(Errc::invalid,
                 fmt::format("a stream of {}: with grains of {} at most {} are possible",
                             human_size(stream.size), human_size(stream.grain), human_size(most)));
  }
  if (stream.descriptor.size() >= kRoomForDescriptor) {
    return Error(Errc::invalid, "its names are too long for its descriptor");
  }
  return ImageWriterPtr(std::make_unique<StreamWriter>(std::move(file), std::move(stream)));
}

}  // namespace platter::vmdk
