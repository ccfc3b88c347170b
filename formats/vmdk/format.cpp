#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "formats/vmdk/create.h"
#include "formats/vmdk/sesparse_extent.h"
#include "formats/vmdk/sparse_extent.h"
#include "formats/vmdk/vmdk_image.h"
#include "lib/image/format.h"

namespace platter::vmdk {
namespace {

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// With a descriptor in a file of its own.
Result<Opened> open_text(const OpenRequest& request) {
  std::array<std::byte, 4096> head;
  const size_t length = TRY(request.file->read_available(0, head));
  if (!Descriptor::is_one(text_of(Bytes(head).first(length)))) {
    return Error(Errc::wrong_format, "neither a sparse extent nor a descriptor of a VMDK");
  }
  Opened opened{.store = DescriptorStore(request.file)};
  const std::string text = TRY(opened.store->read());
  opened.descriptor = TRY(Descriptor::parse(text));
  Result<std::vector<Part>> parts = open_extents(request, *opened.descriptor);
  if (parts) {
    opened.parts = std::move(*parts);
    return opened;
  }
  if (!request.info_only) return std::move(parts.error());
  opened.warnings.push_back(parts.error().message());
  opened.missing = std::move(parts.error());
  return opened;
}

// With the descriptor in the only extent.
Result<Opened> open_sparse_file(const OpenRequest& request) {
  const SparseHeader header = TRY(parse_sparse_header(*request.file));
  if (!header.descriptor) {
    return Error(Errc::unsupported,
                 "it is one extent of a disk, without a descriptor: open the descriptor that "
                 "names it");
  }
  Opened opened{.store = DescriptorStore(request.file, *header.descriptor)};
  const std::string text = TRY(opened.store->read());
  opened.descriptor = TRY(Descriptor::parse(text));
  opened.parts = TRY(open_embedded(request, *opened.descriptor, header));
  return opened;
}

// magic: the first eight bytes of a file; of seSparse all of them are its signature.
bool magic_is(uint64_t magic, uint32_t of_four) { return magic % (uint64_t{1} << 32) == of_four; }
bool is_bare(uint64_t magic) { return magic == kSeSparseMagic || magic_is(magic, kCowdMagic); }

// An extent of ESX whose descriptor is not there.
Opened bare(std::unique_ptr<DiskExtent> extent, std::string variant) {
  Opened opened{
      .warnings = {"it is an extent without its descriptor: whether the disk has a parent "
                   "is not known"},
      .bare_variant = std::move(variant)};
  const uint64_t size = extent->size();
  opened.parts.push_back({{0, size}, std::move(extent)});
  return opened;
}

Result<Opened> open_bare(const OpenRequest& request, uint64_t magic) {
  if (request.writable) {
    return Error(Errc::read_only, "it is an extent without its descriptor: only read");
  }
  if (magic == kSeSparseMagic) {
    return bare(TRY(SeSparseExtent::open({.file = request.file,
                                          .size = std::nullopt,
                                          .tables = request.tables,
                                          .info_only = request.info_only})),
                "seSparse");
  }
  SparseHeader header = TRY(parse_cowd_header(*request.file));
  const uint64_t size = header.layout.capacity;
  return bare(TRY(SparseExtent::open({.file = request.file,
                                      .header = std::move(header),
                                      .size = size,
                                      .tables = request.tables},
                                     false)),
              "vmfsSparse");
}

class VmdkFormat final : public Format {
 public:
  std::string_view name() const override { return "vmdk"; }
  std::span<const std::string_view> extensions() const override {
    static constexpr std::array<std::string_view, 1> kExtensions = {"vmdk"};
    return kExtensions;
  }
  std::span<const std::string_view> variants() const override {
    static constexpr std::array<std::string_view, 10> kVariants = {
        "monolithicSparse",   "monolithicFlat",  "twoGbMaxExtentSparse",
        "twoGbMaxExtentFlat", "streamOptimized", "vmfs",
        "vmfsSparse",         "seSparse",        "fullDevice",
        "partitionedDevice"};
    return kVariants;
  }

  Match probe(const ProbeInput& input) const override {
    le64 magic(0);
    std::ranges::copy(input.head.first(std::min(input.head.size(), sizeof magic)),
                      std::as_writable_bytes(std::span(&magic, 1)).begin());
    if (magic_is(magic, kSparseMagic) || is_bare(magic)) return Match::sure;
    return Descriptor::is_one(text_of(input.head.first(std::min<size_t>(input.head.size(), 4096))))
               ? Match::sure
               : Match::no;
  }

  Result<ImagePtr> open(const OpenRequest& request) const override {
    le64 magic(0);
    TRY(request.file->read_available(0, std::as_writable_bytes(std::span(&magic, 1))));
    Opened opened = magic_is(magic, kSparseMagic) ? TRY(open_sparse_file(request))
                    : is_bare(magic)              ? TRY(open_bare(request, magic))
                                                  : TRY(open_text(request));
    // Of what is only read, the description can be changed.
    if (request.writable && !request.info_only) TRY(expect_writable(opened));
    return ImagePtr(std::make_unique<VmdkImage>(request.file, std::move(opened), request.writable));
  }

  bool can_write() const override { return true; }
  bool can_resize() const override { return true; }
  bool can_compact() const override { return true; }
  bool can_check() const override { return true; }
  bool can_repair() const override { return true; }
  bool can_create() const override { return true; }
  bool can_create_child() const override { return true; }
  bool can_compress() const override { return true; }
  std::span<const CreatableVariant> creatable_variants() const override { return kCreatable; }
  std::span<const OptionSpec> create_options() const override { return kCreateOptions; }
  Result<ImageWriterPtr> create(const CreateRequest& request) const override {
    return create_vmdk(request);
  }
};

}  // namespace

const Format& vmdk_format() {
  static const VmdkFormat format;
  return format;
}

}  // namespace platter::vmdk
