// Clusters are handed out from the front of the file and never given back, so each of them has
// exactly one reference. On disk:
//
//   cluster 0       header (written last)
//   cluster 1 …     data as it comes; behind the data of an L2 table that table
//   …               L1 table, refcount blocks, refcount table
//
// A table that is still empty costs nothing: the L1 table of a sparse disk is a hole of the file.
#include "formats/qcow2/create.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "formats/qcow2/layout.h"
#include "lib/base/checked.h"
#include "lib/base/text.h"

namespace platter::qcow2 {
namespace {

constexpr uint64_t kWriteUnit = MiB;             // tables are written in pieces of this size
constexpr uint64_t kFeatureNamesFrom = 8 * KiB;  // smaller clusters have no room for the table

struct Shape {
  uint32_t version = 3;
  uint32_t cluster_bits = 16;
  uint32_t refcount_order = 4;
  uint64_t size = 0;  // of the disk, bytes

  uint64_t cluster_size() const { return uint64_t{1} << cluster_bits; }
  uint64_t l2_entries() const { return cluster_size() / sizeof(be64); }
  uint64_t l2_span() const { return cluster_size() * l2_entries(); }  // guest bytes
  uint64_t l1_entries() const { return div_up(size, l2_span()); }
  uint64_t refcounts_per_block() const { return cluster_size() * 8 >> refcount_order; }
  // What the largest refcount table can count.
  uint64_t max_clusters() const {
    return kMaxRefcountTableBytes / sizeof(be64) * refcounts_per_block();
  }
};

struct Feature {
  uint8_t kind, bit;
  std::string_view name;
};
// Specification, "Header": the names QEMU gives them.
constexpr std::array<Feature, 8> kFeatures = {{
    {0, 0, "dirty bit"},
    {0, 1, "corrupt bit"},
    {0, 2, "external data file"},
    {0, 3, "compression type"},
    {0, 4, "extended L2 entries"},
    {1, 0, "lazy refcounts"},
    {2, 0, "bitmaps"},
    {2, 1, "raw external data"},
}};

Error too_large() {
  return {Errc::no_space, "refcount table: the file is too large for its clusters and refcounts"};
}

class Qcow2Writer final : public ImageWriter {
 public:
  Qcow2Writer(FilePtr file, const Shape& shape) : file_(std::move(file)), shape_(shape) {}

  uint64_t block_size() const override { return shape_.cluster_size(); }
  Result<void> write(uint64_t offset, Bytes data) override;
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
  Result<void> write_in_table(uint64_t offset, Bytes data);
  Result<void> finish_l2();
  Result<void> write_l1(uint64_t l1_offset);
  Result<Refcounts> place_refcounts() const;
  Result<void> write_refcount_blocks(const Refcounts& place);
  Result<void> write_refcount_table(const Refcounts& place);
  Result<void> write_header(uint64_t l1_offset, const Refcounts& place);

  FilePtr file_;
  const Shape shape_;
  uint64_t next_cluster_ = 1;
  std::vector<be64> l2_;  // the table being filled; empty: none
  uint64_t l2_index_ = 0;
  std::vector<L1Entry> l1_;  // ascending
};

// Their offset in the file.
uint64_t Qcow2Writer::take_clusters(uint64_t count) {
  const uint64_t offset = next_cluster_ << shape_.cluster_bits;
  next_cluster_ += count;
  return offset;
}

Result<void> Qcow2Writer::write(uint64_t offset, Bytes data) {
  if (!fits(offset, data.size(), shape_.size)) {
    return Error(Errc::out_of_range, "write outside the disk");
  }
  while (!data.empty()) {
    const uint64_t table_end = align_up(offset + 1, shape_.l2_span());
    const Bytes part = data.first(std::min<uint64_t>(data.size(), table_end - offset));
    TRY(write_in_table(offset, part));
    offset += part.size();
    data = data.subspan(part.size());
  }
  return {};
}

// All of the data belongs to one L2 table.
Result<void> Qcow2Writer::write_in_table(uint64_t offset, Bytes data) {
  const uint64_t index = offset / shape_.l2_span();
  if (!l2_.empty() && l2_index_ != index) TRY(finish_l2());
  if (l2_.empty()) l2_.resize(shape_.l2_entries());
  l2_index_ = index;
  const uint64_t clusters = div_up(data.size(), shape_.cluster_size());
  if (next_cluster_ + clusters > shape_.max_clusters()) return too_large();
  const uint64_t host = take_clusters(clusters);
  TRY(file_->write(host, data));
  const uint64_t first = offset % shape_.l2_span() >> shape_.cluster_bits;
  for (uint64_t i = 0; i < clusters; ++i) {
    l2_[first + i] = (host + (i << shape_.cluster_bits)) | kCopied;
  }
  return {};
}

Result<void> Qcow2Writer::finish_l2() {
  if (l2_.empty()) return {};
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

void append(std::vector<std::byte>& out, Bytes bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void append_feature_names(std::vector<std::byte>& out) {
  append(out, as_bytes_of(RawExtension{static_cast<uint32_t>(ExtensionType::feature_names),
                                       sizeof(RawFeatureName) * kFeatures.size()}));
  for (const Feature& feature : kFeatures) {
    RawFeatureName raw{.kind = feature.kind, .bit = feature.bit};
    std::copy(feature.name.begin(), feature.name.end(), raw.name.begin());
    append(out, as_bytes_of(raw));
  }
}

Result<void> Qcow2Writer::write_header(uint64_t l1_offset, const Refcounts& place) {
  RawHeader raw;
  raw.magic = kMagic;
  raw.version = shape_.version;
  raw.cluster_bits = shape_.cluster_bits;
  raw.size = shape_.size;
  raw.l1_size = static_cast<uint32_t>(shape_.l1_entries());
  raw.l1_table_offset = l1_offset;
  raw.refcount_table_offset = place.table_offset;
  raw.refcount_table_clusters = static_cast<uint32_t>(place.table_clusters);
  std::vector<std::byte> header;
  if (shape_.version == 2) {
    append(header, as_bytes_of(raw).first(kHeaderV2Size));
  } else {
    raw.refcount_order = shape_.refcount_order;
    raw.header_length = sizeof raw;
    append(header, as_bytes_of(raw));
    if (shape_.cluster_size() >= kFeatureNamesFrom) append_feature_names(header);
  }
  append(header, as_bytes_of(RawExtension{}));
  return file_->write(0, header);
}

Result<void> Qcow2Writer::finish() {
  TRY(finish_l2());
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
  TRY(write_header(l1_offset, place));
  return file_->sync();
}

std::string_view option(const CreateRequest& request, std::string_view name) {
  const auto given = request.options.find(name);
  if (given != request.options.end()) return given->second;
  return std::find_if(kCreateOptions.begin(), kCreateOptions.end(),
                      [&](const OptionSpec& o) { return o.name == name; })
      ->fallback;
}

Error invalid_option(std::string_view name, std::string_view value, std::string_view wanted) {
  return {Errc::invalid, fmt::format("{}={}: {}", name, value, wanted)};
}

Result<Shape> parse_options(const CreateRequest& request) {
  Shape shape;
  const std::string_view cluster = option(request, "cluster_size");
  const uint64_t cluster_size = parse_size(cluster).value_or(0);
  if (!std::has_single_bit(cluster_size) || cluster_size < uint64_t{1} << kMinClusterBits ||
      cluster_size > uint64_t{1} << kMaxClusterBits) {
    return invalid_option("cluster_size", cluster, "must be a power of two from 512 to 2M");
  }
  shape.cluster_bits = static_cast<uint32_t>(std::countr_zero(cluster_size));

  const std::string_view compat = option(request, "compat");
  if (compat != "0.10" && compat != "1.1") {
    return invalid_option("compat", compat, "must be 0.10 or 1.1");
  }
  shape.version = compat == "0.10" ? 2 : 3;

  const std::string_view width = option(request, "refcount_bits");
  uint32_t bits = 0;
  const auto [end, fault] = std::from_chars(width.data(), width.data() + width.size(), bits);
  if (fault != std::errc() || end != width.data() + width.size() || !std::has_single_bit(bits) ||
      bits > 1U << kMaxRefcountOrder) {
    return invalid_option("refcount_bits", width, "must be 1, 2, 4, 8, 16, 32 or 64");
  }
  shape.refcount_order = static_cast<uint32_t>(std::countr_zero(bits));
  if (shape.version == 2 && bits != 16) {
    return invalid_option("refcount_bits", width, "compat=0.10 has only 16");
  }
  return shape;
}

}  // namespace

Result<ImageWriterPtr> create_image(const CreateRequest& request) {
  Shape shape = TRY(parse_options(request));
  const uint64_t most = kMaxL1Bytes / sizeof(be64) * shape.l2_span();
  if (request.size > most) {
    return Error(Errc::invalid,
                 fmt::format("a disk of {} bytes is too large: with clusters of {} it can have {}",
                             request.size, human_size(shape.cluster_size()), human_size(most)));
  }
  shape.size = align_up(request.size, kSector);
  return ImageWriterPtr(std::make_unique<Qcow2Writer>(request.file, shape));
}

}  // namespace platter::qcow2
