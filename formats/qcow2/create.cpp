// Clusters are handed out from the front of the file and never given back. On disk:
//
//   cluster 0       header (written last)
//   cluster 1 …     the LUKS header of an encrypted image and its key material
//   …               data as it comes; behind the data of an L2 table that table
//   …               L1 table, refcount blocks, refcount table
//
// A table that is still empty costs nothing: the L1 table of a sparse disk is a hole of the file.
// With preallocation, clusters nobody writes get their places in the same order. Compressed
// clusters gather in memory until they are worth a write.
#include "formats/qcow2/create.h"

#include <algorithm>
#include <vector>

#include "formats/qcow2/create_options.h"
#include "formats/qcow2/encryption.h"
#include "formats/qcow2/header_write.h"
#include "formats/qcow2/l2.h"
#include "formats/qcow2/new_space.h"
#include "lib/base/checked.h"
#include "lib/crypto/legacy_aes.h"
#include "lib/image/deflate.h"
#include "lib/image/zstd_codec.h"

namespace platter::qcow2 {
namespace {

constexpr uint64_t kWriteUnit = MiB;  // tables, zeroes and streams are written in such pieces
constexpr uint64_t kAllSubclusters = 0xffff'ffff;

const Encoder* encoder_for(const Shape& shape) {
  if (!shape.compress) return nullptr;
  if (shape.compression == Compression::zstd) return &zstd_encoder(*shape.compress);
  return shape.window_4k ? &deflate_4k_encoder(*shape.compress) : &deflate_encoder(*shape.compress);
}

class Qcow2Writer final : public ImageWriter {
 public:
  // data: the external data file; null: there is none.
  Qcow2Writer(FilePtr file, FilePtr data, Shape shape)
      : file_(std::move(file)),
        data_(std::move(data)),
        shape_(std::move(shape)),
        encoder_(encoder_for(shape_)),
        space_(shape_) {}
  // Before the first write of an image that is to be encrypted. keys null: Errc::no_key.
  Result<void> start_encryption(KeySource* keys);

  uint64_t block_size() const override { return shape_.cluster_size(); }
  const Encoder* encoder() const override { return encoder_; }
  // What saves no more than a 32nd is quicker to read as it is.
  uint64_t max_stored() const override {
    return shape_.cluster_size() - shape_.cluster_size() / 32;
  }
  Result<void> write_encoded(uint64_t offset, Bytes stored) override;
  Result<void> write(uint64_t offset, Bytes data) override;
  Result<void> zero(const Range& range) override;
  Result<void> finish() override;

 private:
  struct L1Entry {
    uint64_t index = 0;
    uint64_t l2_offset = 0;
  };
  Result<void> start_luks(Bytes passphrase);
  Result<void> write_encrypted(uint64_t offset, uint64_t host, Bytes part);
  uint64_t in_table(uint64_t offset, uint64_t length) const;
  Result<void> use_table(uint64_t offset);
  Result<NewSpace::Clusters> place(uint64_t offset, uint64_t most, uint64_t bitmap);
  Result<void> write_streams();
  Result<void> zero_in_table(uint64_t offset, uint64_t length);
  Result<void> preallocate_to(uint64_t end);
  Result<void> preallocate(uint64_t host, uint64_t length);
  Result<void> finish_l2();
  Result<void> finish_data();
  Result<void> write_l1(uint64_t l1_offset);

  File& data_file() { return data_ != nullptr ? *data_ : *file_; }
  bool places_all() const {
    return shape_.preallocation != Preallocation::off || shape_.data_file_raw;
  }

  FilePtr file_, data_;
  const Shape shape_;
  const Encoder* const encoder_;
  NewSpace space_;
  DataCipher cipher_;
  Range luks_;               // the LUKS header; empty: none
  uint64_t next_guest_ = 0;  // no cluster from here on has a place
  std::vector<be64> l2_;     // the table being filled; empty: none
  uint64_t l2_index_ = 0;
  std::vector<L1Entry> l1_;         // ascending
  std::vector<std::byte> streams_;  // that are not in the file yet, side by side
  uint64_t streams_at_ = 0;         // where they go, bytes
};

Result<void> Qcow2Writer::start_encryption(KeySource* keys) {
  if (shape_.encryption == Encryption::none) return {};
  if (keys == nullptr) return Error(Errc::no_key, "to be encrypted it needs a passphrase");
  if (shape_.encryption == Encryption::aes) {
    cipher_ = {TRY(legacy_aes_cipher(file_->name(), keys)), true};
    return {};
  }
  return start_luks(TRY(keys->passphrase(file_->name())));
}

Result<void> Qcow2Writer::start_luks(Bytes passphrase) {
  const uint64_t size = luks_size(shape_.luks);
  const NewLuks made = TRY(make_luks(shape_.luks, size, passphrase));
  luks_ = {TRY(space_.take_all(div_up(size, shape_.cluster_size()))), size};
  cipher_ = {made.cipher};
  TRY(file_->write(luks_.offset, made.header));
  return file_->write(luks_.offset + made.material_offset, made.material.bytes());
}

// All of the last cluster is encrypted: what it has behind the end of the disk may be seen when
// that grows.
Result<void> Qcow2Writer::write_encrypted(uint64_t offset, uint64_t host, Bytes part) {
  std::vector<std::byte> whole(div_up(part.size(), shape_.cluster_size()) << shape_.cluster_bits);
  std::copy(part.begin(), part.end(), whole.begin());
  TRY(cipher_.cipher->encrypt(cipher_.tweak(offset, host), whole));
  // A data file is no longer than the disk.
  const uint64_t length = data_ == nullptr ? whole.size() : align_up(part.size(), kSector);
  return data_file().write(host, Bytes(whole).first(length));
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
    const uint64_t here = in_table(offset, data.size());
    const uint64_t clusters = div_up(here, shape_.cluster_size());
    const auto [host, count] = TRY(place(offset, clusters, kAllSubclusters));
    const Bytes part = data.first(std::min(here, count << shape_.cluster_bits));
    if (cipher_.cipher != nullptr) {
      TRY(write_encrypted(offset, host, part));
    } else {
      TRY(data_file().write(host, part));
    }
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

// Gives clusters of one L2 table, at most so many, their places in a row. bitmap: of extended
// entries.
Result<NewSpace::Clusters> Qcow2Writer::place(uint64_t offset, uint64_t most, uint64_t bitmap) {
  TRY(use_table(offset));
  const NewSpace::Clusters placed =
      data_ != nullptr ? NewSpace::Clusters{offset, most} : TRY(space_.take(most));
  const uint64_t step = shape_.words_per_entry();
  uint64_t at = (offset % shape_.l2_span() >> shape_.cluster_bits) * step;
  for (uint64_t i = 0; i < placed.count; ++i, at += step) {
    l2_[at] = (placed.host + (i << shape_.cluster_bits)) | kCopied;
    if (shape_.extended_l2) l2_[at + 1] = bitmap;
  }
  next_guest_ = offset + (placed.count << shape_.cluster_bits);
  return placed;
}

Result<void> Qcow2Writer::write_encoded(uint64_t offset, Bytes stored) {
  if (offset % shape_.cluster_size() != 0 || offset >= shape_.size || stored.empty() ||
      stored.size() > max_stored() || encoder_ == nullptr) {
    return Error(Errc::out_of_range, "compressed cluster outside the disk, or none of this image");
  }
  TRY(use_table(offset));
  const uint64_t host = TRY(space_.take_stream(stored.size()));
  if (host + stored.size() > max_stream_end(shape_.cluster_bits)) {
    return Error(Errc::no_space, "L2 table: the file is too large for compressed clusters");
  }
  const bool follows = host == streams_at_ + streams_.size();
  if (!follows || streams_.size() >= kWriteUnit) TRY(write_streams());
  if (streams_.empty()) streams_at_ = host;
  streams_.insert(streams_.end(), stored.begin(), stored.end());
  l2_[(offset % shape_.l2_span() >> shape_.cluster_bits) * shape_.words_per_entry()] =
      compressed_word(shape_.cluster_bits, host, stored.size());
  next_guest_ = offset + shape_.cluster_size();
  return {};
}

Result<void> Qcow2Writer::write_streams() {
  if (streams_.empty()) return {};
  TRY(file_->write(streams_at_, streams_));
  streams_.clear();
  return {};
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
    const uint64_t host = TRY(place(offset, clusters, bitmap)).host;
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
    const uint64_t host = TRY(place(offset, clusters, subclusters)).host;
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
  const uint64_t host = TRY(space_.take_all(1));
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

Result<void> Qcow2Writer::finish_data() {
  if (places_all()) TRY(preallocate_to(shape_.size));
  TRY(finish_l2());
  TRY(write_streams());
  if (data_ == nullptr) return {};
  TRY(data_->resize(shape_.size));
  return data_->sync();
}

Result<void> Qcow2Writer::finish() {
  TRY(finish_data());
  const uint64_t l1_bytes = shape_.l1_entries() * sizeof(be64);
  const uint64_t l1_offset =
      l1_bytes == 0 ? 0 : TRY(space_.take_all(div_up(l1_bytes, shape_.cluster_size())));
  const NewSpace::Refcounts place = TRY(space_.place_refcounts());
  TRY(file_->resize(place.clusters << shape_.cluster_bits));
  TRY(write_l1(l1_offset));
  TRY(space_.write_refcounts(*file_, place));
  // The header makes it an image: all it names must be there before.
  TRY(file_->sync());
  const auto header =
      TRY(compose_header(shape_, {l1_offset, place.table_offset, place.table_clusters, luks_}));
  TRY(file_->write(0, header));
  return file_->sync();
}

}  // namespace

Result<ImageWriterPtr> create_image(const CreateRequest& request) {
  Shape shape = TRY(parse_shape(request));
  (void)TRY(compose_header(shape, {}));  // whether all names fit
  auto writer = std::make_unique<Qcow2Writer>(
      request.file, request.data_file ? request.data_file->file : nullptr, std::move(shape));
  TRY(writer->start_encryption(request.keys));
  return ImageWriterPtr(std::move(writer));
}

}  // namespace platter::qcow2
