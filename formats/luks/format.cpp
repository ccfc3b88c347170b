#include <array>

#include "formats/luks/create.h"
#include "formats/luks/luks_image.h"
#include "lib/image/luks_details.h"

namespace platter::luks {
namespace {

class LuksFormat final : public Format {
 public:
  std::string_view name() const override { return "luks"; }
  std::span<const std::string_view> extensions() const override {
    static constexpr std::array<std::string_view, 1> kExtensions = {"luks"};
    return kExtensions;
  }
  std::span<const std::string_view> variants() const override {
    static constexpr std::array<std::string_view, 1> kVariants = {"v1"};
    return kVariants;
  }
  // Other versions are claimed too: that they are unsupported says more than "unknown".
  Match probe(const ProbeInput& input) const override {
    return luks_version(input.head) != 0 ? Match::sure : Match::no;
  }
  Result<ImagePtr> open(const OpenRequest& request) const override;
  bool can_write() const override { return true; }
  bool can_create() const override { return true; }
  bool can_resize() const override { return true; }
  bool can_check() const override { return true; }
  bool can_encrypt() const override { return true; }
  std::span<const CreatableVariant> creatable_variants() const override {
    static constexpr std::array<CreatableVariant, 1> kCreatable = {{{"v1", "", ""}}};
    return kCreatable;
  }
  std::span<const OptionSpec> create_options() const override { return kCreateOptions; }
  Result<ImageWriterPtr> create(const CreateRequest& request) const override {
    return create_image(request);
  }
};

Result<ImagePtr> LuksFormat::open(const OpenRequest& request) const {
  const uint64_t file_size = TRY(request.file->stat()).size;
  const LuksPlace place{.file = request.file.get(), .range = {0, file_size}};
  const LuksHeader header = TRY(parse_luks(place));
  if (header.payload_offset == 0) {
    return Error(Errc::unsupported,
                 "LUKS header: it is detached from its disk, which is in another file");
  }
  const Range payload{header.payload_offset, TRY(disk_size(file_size, header.payload_offset))};
  ImageInfo info{.format = "luks", .variant = "v1", .encrypted = true};
  info.details.emplace_back("payload_offset", header.payload_offset);
  describe_luks(header, info);
  CipherPtr cipher = TRY(luks_cipher(place, header, request.keys));
  return ImagePtr(std::make_unique<LuksImage>(request.file, payload, std::move(cipher),
                                              std::move(info), request.writable));
}

}  // namespace

const Format& luks_format() {
  static const LuksFormat format;
  return format;
}

}  // namespace platter::luks
