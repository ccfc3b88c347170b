// Clusters go to the file in the order they are written; behind those of an L2 table comes that
// table. The place of the L1 table is known from the start. The header comes last, behind a sync.
#include "formats/qcow/create.h"

#include <algorithm>
#include <bit>
#include <vector>

#include <fmt/format.h>

#include "formats/qcow/parse.h"
#include "lib/base/checked.h"
#include "lib/base/text.h"
#include "lib/crypto/legacy_aes.h"

namespace platter::qcow {
namespace {

// QEMU's: with a parent as little as possible is copied.
constexpr uint32_t kClusterBits = 12, kL2Bits = 9;
constexpr uint32_t kChildClusterBits = 9, kChildL2Bits = 12;

class QcowWriter final : public ImageWriter {
 public:
  // cipher: of an image that is to be encrypted, else null.
  QcowWriter(FilePtr file, Header header, CipherPtr cipher)
      : file_(std::move(file)),
        header_(std::move(header)),
        cipher_(std::move(cipher)),
        end_(align_up(header_.l1().end(), header_.cluster_size())) {}

  uint64_t block_size() const override { return header_.cluster_size(); }
  Result<void> write(uint64_t offset, Bytes data) override;
  Result<void> finish() override;

 private:
  struct L1Entry {
    uint64_t index = 0;
    uint64_t table = 0;  // offset
  };

  Result<void> write_in_table(uint64_t offset, Bytes data);
  Result<void> write_encrypted(uint64_t offset, Bytes data);
  Result<void> finish_l2();
  Result<void> write_l1();
  Result<void> write_header();

  FilePtr file_;
  const Header header_;  // as it will be
  const CipherPtr cipher_;
  uint64_t end_;          // of the file, whole clusters
  std::vector<be64> l2_;  // the table being filled; empty: none
  uint64_t l2_index_ = 0;
  std::vector<L1Entry> l1_;  // ascending
};

Result<void> QcowWriter::write(uint64_t offset, Bytes data) {
  if (!fits(offset, data.size(), header_.size) || offset % header_.cluster_size() != 0) {
    return Error(Errc::out_of_range, "write outside the disk or its clusters");
  }
  while (!data.empty()) {
    const uint64_t in_table = header_.table_span() - offset % header_.table_span();
    const Bytes part = data.first(std::min<uint64_t>(data.size(), in_table));
    TRY(write_in_table(offset, part));
    offset += part.size();
    data = data.subspan(part.size());
  }
  return {};
}

Result<void> QcowWriter::write_in_table(uint64_t offset, Bytes data) {
  const uint64_t index = offset / header_.table_span();
  if (!l2_.empty() && l2_index_ != index) TRY(finish_l2());
  if (l2_.empty()) l2_.resize(header_.table_entries());
  l2_index_ = index;
  TRY(cipher_ != nullptr ? write_encrypted(offset, data) : file_->write(end_, data));
  uint64_t entry = offset % header_.table_span() >> header_.cluster_bits;
  for (uint64_t done = 0; done < data.size(); done += header_.cluster_size()) {
    l2_[entry++] = end_;
    end_ += header_.cluster_size();
  }
  return {};
}

// All of the last cluster is: what it has behind the end of the disk may be seen when that grows.
Result<void> QcowWriter::write_encrypted(uint64_t offset, Bytes data) {
  std::vector<std::byte> whole(align_up(data.size(), header_.cluster_size()));
  std::ranges::copy(data, whole.begin());
  TRY(cipher_->encrypt(offset, whole));
  return file_->write(end_, whole);
}

Result<void> QcowWriter::finish_l2() {
  if (l2_.empty()) return {};
  TRY(file_->write(end_, std::as_bytes(std::span(l2_))));
  l1_.push_back({l2_index_, end_});
  end_ = align_up(end_ + header_.table_bytes(), header_.cluster_size());
  l2_.clear();
  return {};
}

// Only where entries are set: the rest stays a hole.
Result<void> QcowWriter::write_l1() {
  constexpr size_t kMaxRun = MiB / sizeof(be64);
  std::vector<be64> run;
  for (size_t i = 0; i < l1_.size(); ++i) {
    run.emplace_back(l1_[i].table);
    const bool more = i + 1 < l1_.size() && l1_[i + 1].index == l1_[i].index + 1;
    if (more && run.size() < kMaxRun) continue;
    const uint64_t first = l1_[i].index + 1 - run.size();
    TRY(file_->write(header_.l1_offset + first * sizeof(be64), std::as_bytes(std::span(run))));
    run.clear();
  }
  return {};
}

Result<void> QcowWriter::finish() {
  TRY(finish_l2());
  TRY(file_->resize(end_));
  TRY(write_l1());
  const Range name = header_.backing_name;
  if (!name.empty()) {
    TRY(file_->write(name.offset, std::as_bytes(std::span(header_.backing_file))));
  }
  // With the header the file is an image: all else has to be there before, whatever happens.
  TRY(file_->sync());
  TRY(write_header());
  return file_->sync();
}

Result<void> QcowWriter::write_header() {
  RawHeader raw;
  raw.magic = kMagic;
  raw.version = kVersion;
  raw.backing_file_offset = header_.backing_name.offset;
  raw.backing_file_size = static_cast<uint32_t>(header_.backing_name.length);
  raw.size = header_.size;
  raw.cluster_bits = static_cast<uint8_t>(header_.cluster_bits);
  raw.l2_bits = static_cast<uint8_t>(header_.l2_bits);
  raw.crypt_method = header_.encrypted ? kAes : 0;
  raw.l1_table_offset = header_.l1_offset;
  return file_->write(0, as_bytes_of(raw));
}

Result<void> take_cluster_size(const CreateRequest& request, Header& header) {
  const auto given = request.options.find("cluster_size");
  if (given == request.options.end()) {
    header.cluster_bits = request.parent ? kChildClusterBits : kClusterBits;
    header.l2_bits = request.parent ? kChildL2Bits : kL2Bits;
    return {};
  }
  const auto size = parse_size(given->second);
  constexpr uint64_t kLeast = uint64_t{1} << kMinClusterBits,
                     kMost = uint64_t{1} << kMaxClusterBits;
  if (!size || !std::has_single_bit(*size) || *size < kLeast || *size > kMost) {
    return Error(Errc::invalid, fmt::format("cluster_size={}: must be a power of two from {} to {}",
                                            given->second, kLeast, kMost));
  }
  header.cluster_bits = static_cast<uint32_t>(std::countr_zero(*size));
  header.l2_bits = header.cluster_bits - 3;  // a table is a cluster
  return {};
}

Result<void> take_encryption(const CreateRequest& request, Header& header) {
  const auto given = request.options.find("encrypt.format");
  if (given == request.options.end() || given->second.empty()) return {};
  if (given->second != "aes") {
    return Error(Errc::invalid, fmt::format("encrypt.format={}: must be aes", given->second));
  }
  header.encrypted = true;
  return {};
}

Result<void> take_parent(const CreateRequest& request, Header& header) {
  const auto format = request.options.find("backing_fmt");
  const bool said = format != request.options.end() && !format->second.empty();
  if (!request.parent) {
    if (!said) return {};
    return Error(Errc::invalid, fmt::format("backing_fmt={}: there is no parent", format->second));
  }
  if (said && format->second != request.parent->format) {
    return Error(Errc::invalid, fmt::format("backing_fmt={}: the parent was opened as {}",
                                            format->second, request.parent->format));
  }
  const std::string& name = request.parent->reference;
  if (name.empty()) return Error(Errc::invalid, "the parent has no name");
  if (name.size() > kMaxBackingName) {
    return Error(Errc::invalid, fmt::format("the parent's name has {} bytes: at most {} are "
                                            "possible",
                                            name.size(), kMaxBackingName));
  }
  header.backing_file = name;
  header.backing_name = {sizeof(RawHeader), name.size()};
  return {};
}

}  // namespace

Result<ImageWriterPtr> create_image(const CreateRequest& request) {
  Header header;
  TRY(take_cluster_size(request, header));
  TRY(take_encryption(request, header));
  TRY(take_parent(request, header));
  if (request.size == 0) return Error(Errc::invalid, "a qcow of 0 bytes: it has to hold something");
  const uint64_t most = std::min(kMaxL1Entries << (header.cluster_bits + header.l2_bits),
                                 align_down(kMaxOffset, kSector));
  if (request.size > most) {
    return Error(
        Errc::invalid,
        fmt::format("a qcow of {}: with clusters of {} at most {} are possible",
                    human_size(request.size), human_size(header.cluster_size()), human_size(most)));
  }
  header.size = align_up(request.size, kSector);
  header.l1_offset = align_up(sizeof(RawHeader) + header.backing_name.length, sizeof(be64));
  header.l1_entries = div_up(header.size, header.table_span());
  CipherPtr cipher;
  if (header.encrypted) {
    if (request.keys == nullptr) {
      return Error(Errc::no_key, "to be encrypted it needs a passphrase");
    }
    cipher = TRY(legacy_aes_cipher(request.file->name(), request.keys));
  }
  return ImageWriterPtr(
      std::make_unique<QcowWriter>(request.file, std::move(header), std::move(cipher)));
}

}  // namespace platter::qcow
