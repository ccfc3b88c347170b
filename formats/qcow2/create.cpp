// Clusters are handed out from the front of the file and never given back, so each of them has
// exactly one reference. On disk:
//
//   cluster 0       header (written last)
//   cluster 1 …     data as it comes; behind the data of an L2 table that table
//   …               L1 table, refcount blocks, refcount table
//
// A table that is still empty costs nothing: the L1 table of a sparse disk is a hole of the file.
// With preallocation, clusters nobody writes get their places in the same order.
#include "formats/qcow2/create.h"

#include <algorithm>
#include <vector>

#include "formats/qcow2/create_options.h"
#include "formats/qcow2/header_write.h"
#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

constexpr uint64_t kWriteUnit = MiB;  // tables and zeroes are written in pieces of this size
constexpr uint64_t kAllSubclusters = 0xffff'ffff;

Error too_large() {
  return {Errc::no_space, "refcount table: the file is too large for its clusters and refcounts"};
}

class Qcow2Writer final : public ImageWriter {
 public:
  // data: the external data file; null: there is none.
  Qcow2Writer(FilePtr file, FilePtr data, Shape shape)
      : file_(std::move(file)), data_(std::move(data)), shape_(std::move(shape)) {}

  uint64_t block_size() const override { return shape_.cluster_size(); }
  Result<void> write(uint64_t offset, Bytes data) override;
  Result<void> zero(const Range& range) override;
  Result<void> finish() override;

 private:
  struct L1Entry {
    uint64_t index = 0;
    uint64_t l2_offset = 0;
  };
  struct Refcounts {
    uint64_t blocks_offset = 0, blocks = 0;
    uint64_t table_offset = 0, table_clusters = 0;
    uint64_t clusters = 0;  // of the whole file
  };

  uint64_t take_clusters(uint64_t count);
  uint64_t in_table(uint64_t offset, uint64_t length) const;
  Result<void> use_table(uint64_t offset);
  Result<uint64_t> place(uint64_t offset, uint64_t clusters, uint64_t bitmap);
  Result<void> zero_in_table(uint64_t offset, uint64_t length);
  Result<void> preallocate_to(uint64_t end);
  Result<void> preallocate(uint64_t host, uint64_t length);
  Result<void> finish_l2();
  Result<void> finish_data();
  Result<void> write_l1(uint64_t l1_offset);
  Result<Refcounts> place_refcounts() const;
  Result<void> write_refcount_blocks(const Refcounts& place);
  Result<void> write_refcount_table(const Refcounts& place);

  File& data_file() { return data_ != nullptr ? *data_ : *file_; }
  bool places_all() const {
    return shape_.preallocation != Preallocation::off || shape_.data_file_raw;
  }

  FilePtr file_, data_;
  const Shape shape_;
  uint64_t next_cluster_ = 1;
  uint64_t next_guest_ = 0;  // no cluster from here on has a place
  std::vector<be64> l2_;     // the table being filled; empty: none
  uint64_t l2_index_ = 0;
  std::vector<L1Entry> l1_;  // ascending
};

// Their offset in the file.
uint64_t Qcow2Writer::take_clusters(uint64_t count) {
  const uint64_t offset = next_cluster_ << shape_.cluster_bits;
  next_cluster_ += count;
  return offset;
}

// How much of the length the L2 table of the offset has entries for.
uint64_t Qcow2Writer::in_table(uint64_t offset, uint64_t length) const {
  return std::min(length, align_down(offset, shape_.l2_span()) + shape_.l2_span() - offset);
}

Result<void> Qcow2Writer::write(uint64_t offset, Bytes data) {
  if (!fits(offset, data.size(), shape_.size)) {
    return Error(Errc::out_of_range, "write outside the disk");
  }
  if (places_all()) TRY(preallocate_to(offset));
  while (!data.empty()) {
    const Bytes part = data.first(in_table(offset, data.size()));
    const uint64_t clusters = div_up(part.size(), shape_.cluster_size());
    const uint64_t host = TRY(place(offset, clusters, kAllSubclusters));
    TRY(data_file().write(host, part));
    offset += part.size();
    data = data.subspan(part.size());
  }
  return {};
}

// The cluster at the offset gets its entry next.
Result<void> Qcow2Writer::use_table(uint64_t offset) {
  const uint64_t index = offset / shape_.l2_span();
  if (!l2_.empty() && l2_index_ != index) TRY(finish_l2());
  if (l2_.empty()) l2_.resize(shape_.l2_words());
  l2_index_ = index;
  return {};
}

// Gives clusters of one L2 table their places in a row: the offset of the first. bitmap: of
// extended entries.
Result<uint64_t> Qcow2Writer::place(uint64_t offset, uint64_t clusters, uint64_t bitmap) {
  TRY(use_table(offset));
  if (data_ == nullptr && next_cluster_ + clusters > shape_.max_clusters()) return too_large();
  const uint64_t host = data_ != nullptr ? offset : take_clusters(clusters);
  const uint64_t step = shape_.words_per_entry();
  uint64_t at = (offset % shape_.l2_span() >> shape_.cluster_bits) * step;
  for (uint64_t i = 0; i < clusters; ++i, at += step) {
    l2_[at] = (host + (i << shape_.cluster_bits)) | kCopied;
    if (shape_.extended_l2) l2_[at + 1] = bitmap;
  }
  next_guest_ = offset + (clusters << shape_.cluster_bits);
  return host;
}

// Version 2 has no such entries.
Result<void> Qcow2Writer::zero(const Range& range) {
  if (shape_.version == 2 || shape_.data_file_raw) return ImageWriter::zero(range);
  if (!fits(range.offset, range.length, shape_.size)) {
    return Error(Errc::out_of_range, "zeroes outside the disk");
  }
  if (places_all()) TRY(preallocate_to(range.offset));
  for (Range left = range; !left.empty();) {
    const uint64_t length = in_table(left.offset, left.length);
    TRY(zero_in_table(left.offset, length));
    left = {left.offset + length, left.length - length};
  }
  return {};
}

Result<void> Qcow2Writer::zero_in_table(uint64_t offset, uint64_t length) {
  const uint64_t clusters = div_up(length, shape_.cluster_size());
  const uint64_t bitmap = kAllSubclusters << kSubclusters;
  if (places_all() && shape_.extended_l2) {
    const uint64_t host = TRY(place(offset, clusters, bitmap));
    return preallocate(host, data_ != nullptr ? length : clusters << shape_.cluster_bits);
  }
  TRY(use_table(offset));
  const uint64_t step = shape_.words_per_entry();
  uint64_t at = (offset % shape_.l2_span() >> shape_.cluster_bits) * step;
  for (uint64_t i = 0; i < clusters; ++i, at += step) {
    l2_[at + step - 1] = shape_.extended_l2 ? bitmap : kZeroFlag;
  }
  next_guest_ = offset + (clusters << shape_.cluster_bits);
  return {};
}

// end: bytes of the guest; a whole cluster, or the disk's end.
Result<void> Qcow2Writer::preallocate_to(uint64_t end) {
  // A raw data file is the disk whatever the tables say; they say the same.
  const uint64_t subclusters = shape_.data_file_raw ? kAllSubclusters : 0;
  while (next_guest_ < end) {
    const uint64_t offset = next_guest_;
    const uint64_t length = in_table(offset, end - offset);
    const uint64_t clusters = div_up(length, shape_.cluster_size());
    const uint64_t host = TRY(place(offset, clusters, subclusters));
    TRY(preallocate(host, data_ != nullptr ? length : clusters << shape_.cluster_bits));
  }
  return {};
}

// Space nobody has written to, in the file that has the data.
Result<void> Qcow2Writer::preallocate(uint64_t host, uint64_t length) {
  if (shape_.preallocation == Preallocation::falloc) {
    // The host keeps what lies behind the end of a file only for as long as it likes.
    TRY(data_file().resize(host + length));
    if (TRY(data_file().make_zero({host, length}, File::Zero::keep_space))) return {};
  } else if (shape_.preallocation != Preallocation::full) {
    return {};
  }
  const std::vector<std::byte> zeroes(std::min(length, kWriteUnit));
  for (uint64_t done = 0; done < length; done += kWriteUnit) {
    TRY(data_file().write(host + done, Bytes(zeroes).first(std::min(kWriteUnit, length - done))));
  }
  return {};
}

Result<void> Qcow2Writer::finish_l2() {
  if (l2_.empty()) return {};
  if (next_cluster_ >= shape_.max_clusters()) return too_large();
  const uint64_t host = take_clusters(1);
  TRY(file_->write(host, std::as_bytes(std::span(l2_))));
  l1_.push_back({l2_index_, host});
  l2_.clear();
  return {};
}

// Only where entries are set: the rest stays a hole.
Result<void> Qcow2Writer::write_l1(uint64_t l1_offset) {
  std::vector<be64> run;
  for (size_t i = 0; i < l1_.size(); ++i) {
    run.push_back(l1_[i].l2_offset | kCopied);
    const bool more = i + 1 < l1_.size() && l1_[i + 1].index == l1_[i].index + 1;
    if (more && run.size() < kWriteUnit / sizeof(be64)) continue;
    const uint64_t first = l1_[i].index + 1 - run.size();
    TRY(file_->write(l1_offset + first * sizeof(be64), std::as_bytes(std::span(run))));
    run.clear();
  }
  return {};
}

// The blocks and the table count themselves too, so their number is a fixed point.
Result<Qcow2Writer::Refcounts> Qcow2Writer::place_refcounts() const {
  Refcounts place{.clusters = next_cluster_};
  for (uint64_t before = 0; before != place.clusters;) {
    before = place.clusters;
    place.blocks = div_up(place.clusters, shape_.refcounts_per_block());
    place.table_clusters = div_up(place.blocks * sizeof(be64), shape_.cluster_size());
    place.clusters = next_cluster_ + place.blocks + place.table_clusters;
  }
  if (place.clusters > shape_.max_clusters()) return too_large();
  place.blocks_offset = next_cluster_ << shape_.cluster_bits;
  place.table_offset = (next_cluster_ + place.blocks) << shape_.cluster_bits;
  return place;
}

// The blocks lie side by side: one array of ones, as long as the file has clusters.
Result<void> Qcow2Writer::write_refcount_blocks(const Refcounts& place) {
  const uint64_t bits = uint64_t{1} << shape_.refcount_order;
  std::vector<std::byte> ones(kWriteUnit);
  if (bits < 8) {
    constexpr std::array<uint8_t, 3> kOnes = {0xff, 0x55, 0x11};
    std::fill(ones.begin(), ones.end(), std::byte{kOnes[shape_.refcount_order]});
  } else {
    for (size_t i = bits / 8 - 1; i < ones.size(); i += bits / 8) ones[i] = std::byte{1};
  }
  const uint64_t whole = place.clusters * bits / 8;
  for (uint64_t at = 0; at < whole; at += kWriteUnit) {
    const size_t n = std::min(kWriteUnit, whole - at);
    TRY(file_->write(place.blocks_offset + at, Bytes(ones).first(n)));
  }
  const uint64_t rest_bits = place.clusters * bits % 8;
  if (rest_bits == 0) return {};
  // Refcounts narrower than a byte fill it from its lowest bit.
  const std::byte last = ones[0] & std::byte{static_cast<uint8_t>((1U << rest_bits) - 1)};
  return file_->write(place.blocks_offset + whole, Bytes(&last, 1));
}

Result<void> Qcow2Writer::write_refcount_table(const Refcounts& place) {
  std::vector<be64> table(place.blocks);
  for (uint64_t i = 0; i < place.blocks; ++i) {
    table[i] = place.blocks_offset + (i << shape_.cluster_bits);
  }
  return file_->write(place.table_offset, std::as_bytes(std::span(table)));
}

Result<void> Qcow2Writer::finish_data() {
  if (places_all()) TRY(preallocate_to(shape_.size));
  TRY(finish_l2());
  if (data_ == nullptr) return {};
  TRY(data_->resize(shape_.size));
  return data_->sync();
}

Result<void> Qcow2Writer::finish() {
  TRY(finish_data());
  const uint64_t l1_bytes = shape_.l1_entries() * sizeof(be64);
  const uint64_t l1_offset =
      l1_bytes == 0 ? 0 : take_clusters(div_up(l1_bytes, shape_.cluster_size()));
  const Refcounts place = TRY(place_refcounts());
  TRY(file_->resize(place.clusters << shape_.cluster_bits));
  TRY(write_l1(l1_offset));
  TRY(write_refcount_blocks(place));
  TRY(write_refcount_table(place));
  // The header makes it an image: all it names must be there before.
  TRY(file_->sync());
  const auto header =
      TRY(compose_header(shape_, {l1_offset, place.table_offset, place.table_clusters}));
  TRY(file_->write(0, header));
  return file_->sync();
}

}  // namespace

Result<ImageWriterPtr> create_image(const CreateRequest& request) {
  Shape shape = TRY(parse_shape(request));
  (void)TRY(compose_header(shape, {}));  // whether all names fit
  return ImageWriterPtr(std::make_unique<Qcow2Writer>(
      request.file, request.data_file ? request.data_file->file : nullptr, std::move(shape)));
}

}  // namespace platter::qcow2
