#include "lib/image/format.h"

#include <array>

#include "formats/qcow/create.h"
#include "formats/qcow/qcow_image.h"
#include "lib/crypto/legacy_aes.h"

namespace platter::qcow {
namespace {

class QcowFormat final : public Format {
 public:
  std::string_view name() const override { return "qcow"; }
  std::span<const std::string_view> extensions() const override {
    static constexpr std::array<std::string_view, 1> kExtensions = {"qcow"};
    return kExtensions;
  }
  std::span<const std::string_view> variants() const override {
    static constexpr std::array<std::string_view, 1> kVariants = {"v1"};
    return kVariants;
  }
  Match probe(const ProbeInput& input) const override {
    if (input.head.size() < 2 * sizeof(be32) || load<be32>(input.head) != kMagic) return Match::no;
    return load<be32>(input.head, sizeof(be32)) == kVersion ? Match::sure : Match::no;
  }
  Result<ImagePtr> open(const OpenRequest& request) const override {
    Header header = TRY(parse_header(*request.file));
    CipherPtr cipher;
    if (header.encrypted) {
      cipher = TRY(legacy_aes_cipher(request.file->name(), request.keys));
    }
    return ImagePtr(std::make_unique<QcowImage>(request.file, request.tables, std::move(header),
                                                std::move(cipher), request.writable));
  }

  bool can_write() const override { return true; }
  bool can_encrypt() const override { return true; }
  bool can_create() const override { return true; }
  std::span<const CreatableVariant> creatable_variants() const override {
    static constexpr std::array<CreatableVariant, 1> kCreatable = {{{"v1", "", ""}}};
    return kCreatable;
  }
  bool can_create_child() const override { return true; }
  bool names_parent_formats() const override { return false; }
  bool can_resize() const override { return true; }
  bool can_check() const override { return true; }
  bool can_repair() const override { return true; }
  std::span<const OptionSpec> create_options() const override {
    static constexpr std::array<OptionSpec, 3> kOptions = {
        {{"cluster_size", "bytes in a cluster, a power of two from 512 to 64k; 512 with a parent",
          "4k"},
         {"backing_fmt", "format of the parent, as --parent-format; the image does not keep it",
          ""},
         {"encrypt.format", "encrypt the data: aes, which is weak and only for old programs", ""}}};
    return kOptions;
  }
  Result<ImageWriterPtr> create(const CreateRequest& request) const override {
    return create_image(request);
  }
};

}  // namespace

const Format& qcow_format() {
  static const QcowFormat format;
  return format;
}

}  // namespace platter::qcow
