#include <array>

#include <fmt/format.h>

#include "formats/qcow2/amend.h"
#include "formats/qcow2/bitmaps.h"
#include "formats/qcow2/check.h"
#include "formats/qcow2/create.h"
#include "formats/qcow2/create_options.h"
#include "formats/qcow2/qcow2_image.h"
#include "lib/base/log.h"
#include "lib/image/format.h"

namespace platter::qcow2 {
namespace {

ImageInfo describe(const FilePtr& file, const Header& header) {
  ImageInfo info{.format = "qcow2",
                 .variant = header.version == 2 ? "v2" : "v3",
                 .block_size = header.cluster_size(),
                 .dirty = header.dirty,
                 .corrupt = header.corrupt,
                 .warnings = header.warnings};
  if (!header.backing_file.empty()) {
    info.parent = ParentLink{.reference = header.backing_file, .format = header.backing_format};
  }
  info.features = header.features;
  auto& details = info.details;
  details.emplace_back("compat", header.version == 2 ? "0.10" : "1.1");
  details.emplace_back("cluster_size", header.cluster_size());
  details.emplace_back("refcount_bits", uint64_t{header.refcount_bits()});
  details.emplace_back("lazy_refcounts", header.lazy_refcounts);
  details.emplace_back("compression_type",
                       header.compression == Compression::zstd ? "zstd" : "zlib");
  details.emplace_back("extended_l2", header.extended_l2);
  if (header.external_data) {
    details.emplace_back("data_file", header.data_file);
    details.emplace_back("data_file_raw", header.data_file_raw);
    if (!header.data_file.empty()) info.parts.push_back(header.data_file);
  }
  describe_encryption(file, header, info);
  if (header.unknown_extensions != 0) {
    details.emplace_back("unknown_extensions", uint64_t{header.unknown_extensions});
  }
  return info;
}

Result<Qcow2Image::Files> open_files(const OpenRequest& request, const Header& header) {
  Qcow2Image::Files files{
      .image = request.file, .data = request.file, .data_size = header.file_size};
  if (!header.external_data) return files;
  files.data = nullptr;
  if (request.info_only) return files;
  Result<FilePtr> data =
      request.resolver.open(header.data_file, request.writable ? Access::write : Access::read);
  if (!data && data.error().code() == Errc::not_found) {
    return Error(Errc::not_found, fmt::format("its data file \"{}\" is missing", header.data_file));
  }
  files.data = TRY(std::move(data));
  files.data_size = TRY(files.data->stat()).size;
  return files;
}

class Qcow2Format final : public Format {
 public:
  std::string_view name() const override { return "qcow2"; }
  std::span<const std::string_view> extensions() const override {
    static constexpr std::array<std::string_view, 1> kExtensions = {"qcow2"};
    return kExtensions;
  }
  std::span<const std::string_view> variants() const override {
    static constexpr std::array<std::string_view, 2> kVariants = {"v2", "v3"};
    return kVariants;
  }
  // Versions to come are claimed too: that they are unsupported says more than "unknown".
  Match probe(const ProbeInput& input) const override {
    if (input.head.size() < 2 * sizeof(be32) || load<be32>(input.head) != kMagic) return Match::no;
    return load<be32>(input.head, sizeof(be32)) >= 2 ? Match::sure : Match::no;
  }
  Result<ImagePtr> open(const OpenRequest& request) const override;
  bool can_write() const override { return true; }
  bool can_resize() const override { return true; }
  bool can_compact() const override { return true; }
  bool can_snapshot() const override { return true; }
  bool can_encrypt() const override { return true; }
  bool can_create() const override { return true; }
  bool can_create_child() const override { return true; }
  bool can_compress() const override { return true; }
  bool can_check() const override { return true; }
  bool can_repair() const override { return true; }
  std::span<const CreatableVariant> creatable_variants() const override {
    static constexpr std::array<CreatableVariant, 2> kCreatable = {
        {{"v3", "compat", "1.1"}, {"v2", "compat", "0.10"}}};
    return kCreatable;
  }
  std::span<const OptionSpec> create_options() const override { return kCreateOptions; }
  std::span<const OptionSpec> amend_options() const override { return kAmendOptions; }
  Result<ImageWriterPtr> create(const CreateRequest& request) const override {
    return create_image(request);
  }
};

// Whoever wrote the image last did not keep its refcounts, and was cut off: they are counted anew.
Result<Header> with_right_refcounts(File& file) {
  CheckReport report;
  TRY_IN("its refcounts are out of date (dirty bit)", check_image(file, Repair::all, report));
  Header header = TRY(parse_header(file));
  if (header.dirty || report.corruptions != 0) {
    return Error(Errc::unsupported,
                 "its refcounts are out of date (dirty bit) and cannot be repaired: it is only "
                 "read");
  }
  log::info("{}: its refcounts were out of date (dirty bit): {} repaired", file.name(),
            report.repaired);
  return header;
}

Result<ImagePtr> Qcow2Format::open(const OpenRequest& request) const {
  // Of what is not read, a check and a repair may follow.
  const Damage damage = request.info_only ? Damage::kept : Damage::refused;
  Header header = TRY(parse_header(*request.file, damage));
  if (request.writable && header.dirty && !header.corrupt) {
    header = TRY(with_right_refcounts(*request.file));
  }
  SnapshotTable table = TRY(read_snapshot_table(*request.file, header));
  if (!table.fault.empty() && !request.info_only) return Error(Errc::corrupt, table.fault);
  std::vector<Snapshot> snapshots = std::move(table.list);
  ImageInfo info = describe(request.file, header);
  if (!table.fault.empty()) info.warnings.push_back(table.fault);
  BitmapList bitmaps = TRY(list_bitmaps(*request.file, header));
  info.bitmaps = std::move(bitmaps.list);
  if (!bitmaps.fault.empty()) info.warnings.push_back(bitmaps.fault);
  for (const Snapshot& snapshot : snapshots) {
    if (snapshot.problem.empty()) continue;
    info.warnings.push_back(
        fmt::format("snapshot \"{}\" cannot be read: {}", snapshot.info.name, snapshot.problem));
  }
  if (request.writable) TRY(Changes::check_supported(header));
  Qcow2Image::Files files = TRY(open_files(request, header));
  files.cipher = TRY(open_data_cipher(request.file, header, request.keys));
  return ImagePtr(std::make_unique<Qcow2Image>(std::move(files), request.tables, header,
                                               std::move(snapshots), std::move(info),
                                               request.writable ? request.epochs : nullptr));
}

}  // namespace

const Format& qcow2_format() {
  static const Qcow2Format format;
  return format;
}

}  // namespace platter::qcow2
