#include <array>

#include "formats/vdi/create.h"
#include "formats/vdi/vdi_image.h"
#include "lib/image/format.h"

namespace platter::vdi {
namespace {

class VdiFormat final : public Format {
 public:
  std::string_view name() const override { return "vdi"; }
  std::span<const std::string_view> extensions() const override {
    static constexpr std::array<std::string_view, 1> kExtensions = {"vdi"};
    return kExtensions;
  }
  std::span<const std::string_view> variants() const override {
    static constexpr std::array<std::string_view, 4> kVariants = {"dynamic", "static",
                                                                  "differencing", "undo"};
    return kVariants;
  }

  // The text in front of the signature differs from program to program and says nothing.
  Match probe(const ProbeInput& input) const override {
    constexpr size_t kAt = offsetof(PreHeader, signature);
    if (input.head.size() < kAt + sizeof(le32)) return Match::no;
    return load<le32>(input.head, kAt) == kSignature ? Match::sure : Match::no;
  }

  Result<ImagePtr> open(const OpenRequest& request) const override {
    // Of what is not read, a check and a repair may follow.
    const auto truncated = request.info_only ? Truncated::warned_of : Truncated::refused;
    Parsed header = TRY(parse(*request.file, truncated));
    const bool child = header.type == Type::differencing || header.type == Type::undo;
    if (child && header.parent_uuid.is_nil() && !request.info_only) {
      return Error(Errc::corrupt, "header: a differencing image that names no parent");
    }
    if (request.writable) TRY(Changes::check_supported(header));
    return ImagePtr(std::make_unique<VdiImage>(request.file, request.tables, std::move(header),
                                               request.writable));
  }

  bool can_write() const override { return true; }
  bool can_create() const override { return true; }
  std::span<const CreatableVariant> creatable_variants() const override {
    static constexpr std::array<CreatableVariant, 2> kCreatable = {
        {{"dynamic", "static", "off"}, {"static", "static", "on"}}};
    return kCreatable;
  }
  bool can_create_child() const override { return true; }
  bool names_parents_by_id() const override { return true; }
  bool can_resize() const override { return true; }
  bool can_compact() const override { return true; }
  bool can_check() const override { return true; }
  bool can_repair() const override { return true; }
  std::span<const OptionSpec> create_options() const override {
    static constexpr std::array<OptionSpec, 2> kOptions = {
        {{"static", "give every block its place at once (on, off)", "off"},
         {"block_size", "bytes a block; QEMU reads only 1M", "1M"}}};
    return kOptions;
  }
  Result<ImageWriterPtr> create(const CreateRequest& request) const override {
    return create_vdi(request);
  }
};

}  // namespace

const Format& vdi_format() {
  static const VdiFormat format;
  return format;
}

}  // namespace platter::vdi
