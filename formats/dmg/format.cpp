#include <array>

#include "formats/dmg/dmg_image.h"
#include "lib/image/format.h"

namespace platter::dmg {
namespace {

class DmgFormat final : public Format {
 public:
  std::string_view name() const override { return "dmg"; }
  std::span<const std::string_view> extensions() const override {
    static constexpr std::array<std::string_view, 1> kExtensions = {"dmg"};
    return kExtensions;
  }
  std::span<const std::string_view> variants() const override {
    static constexpr std::array<std::string_view, 6> kVariants = {"UDRO", "UDCO", "UDZO",
                                                                  "UDBZ", "ULFO", "ULMO"};
    return kVariants;
  }

  // An encrypted one is recognised, so that open() says why it is refused.
  Match probe(const ProbeInput& input) const override {
    if (!encryption_of(input.head, input.tail).empty()) return Match::sure;
    return find_trailer(input.head, input.tail, input.size) ? Match::sure : Match::no;
  }

  Result<ImagePtr> open(const OpenRequest& request) const override {
    return ImagePtr(std::make_unique<DmgImage>(request.file, TRY(parse(*request.file))));
  }

  bool can_check() const override { return true; }
};

}  // namespace

const Format& dmg_format() {
  static const DmgFormat format;
  return format;
}

}  // namespace platter::dmg
