#include <array>

#include "formats/ova/appliance.h"
#include "lib/image/format.h"

namespace platter::ova {
namespace {

class OvaFormat final : public Format {
 public:
  std::string_view name() const override { return "ova"; }
  std::span<const std::string_view> extensions() const override {
    static constexpr std::array<std::string_view, 1> kExtensions = {"ova"};
    return kExtensions;
  }
  std::span<const std::string_view> variants() const override { return {}; }

  // The envelope is the first member; where it is not, the name has to say what the archive is.
  Match probe(const ProbeInput& input) const override {
    const std::string first = first_member(input.head);
    if (first.empty()) return Match::no;
    if (has_ending(first, ".ovf")) return Match::sure;
    return has_ending(input.name, ".ova") ? Match::weak : Match::no;
  }

  Result<ImagePtr> open(const OpenRequest& /*request*/) const override {
    return Error(Errc::unsupported, "is an archive of disks, where one disk is wanted");
  }
  bool holds_images() const override { return true; }
  Result<ArchivePtr> open_archive(const FilePtr& file) const override {
    return Appliance::open(file);
  }
  bool can_check() const override { return true; }
};

}  // namespace

const Format& ova_format() {
  static const OvaFormat format;
  return format;
}

}  // namespace platter::ova
