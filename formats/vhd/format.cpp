#include <array>

#include "formats/vhd/create.h"
#include "formats/vhd/dynamic_image.h"
#include "formats/vhd/fixed_image.h"
#include "formats/vhd/footer.h"
#include "formats/vhd/table_scan.h"
#include "lib/image/format.h"

namespace platter::vhd {
namespace {

// Of a table that is counted through for `info`, entries: 32 TiB of the usual blocks.
constexpr uint64_t kMaxCounted = 16 * MiB;

Result<std::optional<uint64_t>> count_blocks(const File& file, const Parsed& parsed) {
  if (parsed.type == Type::fixed || parsed.entries > kMaxCounted) return std::optional<uint64_t>();
  uint64_t count = 0;
  TRY(for_each_piece(file, parsed, [&](uint64_t, std::span<be32> piece) -> Result<void> {
    for (const uint32_t entry : piece) count += entry != kUnused ? 1 : 0;
    return {};
  }));
  return std::optional(count);
}

class VhdFormat final : public Format {
 public:
  std::string_view name() const override { return "vhd"; }
  std::span<const std::string_view> extensions() const override {
    static constexpr std::array<std::string_view, 3> kExtensions = {"vhd", "avhd", "vud"};
    return kExtensions;
  }
  std::span<const std::string_view> variants() const override {
    static constexpr std::array<std::string_view, 3> kVariants = {"dynamic", "fixed",
                                                                  "differencing"};
    return kVariants;
  }

  // That of a fixed disk is seen at its end alone.
  Match probe(const ProbeInput& input) const override { return probe_footer(input); }

  Result<ImagePtr> open(const OpenRequest& request) const override {
    Parsed parsed = TRY(parse(*request.file));
    // Of what is damaged, a repair may follow.
    if (request.writable) TRY(Changes::check_supported(parsed, request.info_only));
    if (parsed.type == Type::fixed) {
      return ImagePtr(
          std::make_unique<FixedImage>(request.file, std::move(parsed), request.writable));
    }
    std::optional<uint64_t> allocated;
    if (request.info_only) allocated = TRY(count_blocks(*request.file, parsed));
    return ImagePtr(std::make_unique<DynamicImage>(request.file, request.tables, std::move(parsed),
                                                   request.writable, allocated));
  }

  bool can_write() const override { return true; }
  bool can_create() const override { return true; }
  std::span<const CreatableVariant> creatable_variants() const override {
    static constexpr std::array<CreatableVariant, 2> kCreatable = {
        {{"dynamic", "fixed", "off"}, {"fixed", "fixed", "on"}}};
    return kCreatable;
  }
  bool can_create_child() const override { return true; }
  bool can_resize() const override { return true; }
  bool can_compact() const override { return true; }
  bool can_check() const override { return true; }
  bool can_repair() const override { return true; }
  std::span<const OptionSpec> create_options() const override {
    static constexpr std::array<OptionSpec, 2> kOptions = {
        {{"fixed", "give every byte its place at once (on, off)", "off"},
         {"block_size", "bytes a block of what is not fixed; Windows makes only 2M", "2M"}}};
    return kOptions;
  }
  Result<ImageWriterPtr> create(const CreateRequest& request) const override {
    return create_vhd(request);
  }
};

}  // namespace

const Format& vhd_format() {
  static const VhdFormat format;
  return format;
}

}  // namespace platter::vhd
