#include <array>

#include <fmt/format.h>

#include "formats/vmdk/create.h"
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

// An extent of ESX whose descriptor is not there.
Result<Opened> open_bare_cowd(const OpenRequest& request) {
  if (request.writable) {
    return Error(Errc::read_only, "it is an extent without its descriptor: only read");
  }
  SparseHeader header = TRY(parse_cowd_header(*request.file));
  const uint64_t size = header.layout.capacity;
  Opened opened{
      .warnings = {"it is an extent without its descriptor: whether the disk has a parent "
                   "is not known"}};
  opened.parts.push_back({{0, size},
                          TRY(SparseExtent::open({.file = request.file,
                                                  .header = std::move(header),
                                                  .size = size,
                                                  .tables = request.tables},
                                                 false))});
  return opened;
}

class VmdkFormat final : public Format {
 public:
  std::string_view name() const override { return "vmdk"; }
  std::span<const std::string_view> extensions() const override {
    static constexpr std::array<std::string_view, 1> kExtensions = {"vmdk"};
    return kExtensions;
  }
  std::span<const std::string_view> variants() const override {
    static constexpr std::array<std::string_view, 9> kVariants = {
        "monolithicSparse",   "monolithicFlat",  "twoGbMaxExtentSparse",
        "twoGbMaxExtentFlat", "streamOptimized", "vmfs",
        "vmfsSparse",         "fullDevice",      "partitionedDevice"};
    return kVariants;
  }

  Match probe(const ProbeInput& input) const override {
    if (input.head.size() >= sizeof(le32)) {
      const uint32_t magic = load<le32>(input.head);
      if (magic == kSparseMagic || magic == kCowdMagic) return Match::sure;
    }
    return Descriptor::is_one(text_of(input.head.first(std::min<size_t>(input.head.size(), 4096))))
               ? Match::sure
               : Match::no;
  }

  Result<ImagePtr> open(const OpenRequest& request) const override {
    le32 magic(0);
    TRY(request.file->read_available(0, std::as_writable_bytes(std::span(&magic, 1))));
    Opened opened = magic == kSparseMagic ? TRY(open_sparse_file(request))
                    : magic == kCowdMagic ? TRY(open_bare_cowd(request))
                                          : TRY(open_text(request));
    // Of what is only read, the description can be changed.
    if (request.writable && !request.info_only) TRY(expect_writable(opened));
    return ImagePtr(std::make_unique<VmdkImage>(request.file, std::move(opened), request.writable));
  }

  bool can_write() const override { return true; }
  bool can_resize() const override { return true; }
  bool can_check() const override { return true; }
  bool can_repair() const override { return true; }
  bool can_create() const override { return true; }
  bool can_create_child() const override { return true; }
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
