#include <array>
#include <cstring>

#include "formats/vhdx/create.h"
#include "formats/vhdx/replayed_file.h"
#include "formats/vhdx/vhdx_image.h"
#include "lib/image/format.h"

namespace platter::vhdx {
namespace {

class VhdxFormat final : public Format {
 public:
  std::string_view name() const override { return "vhdx"; }
  std::span<const std::string_view> extensions() const override {
    static constexpr std::array<std::string_view, 2> kExtensions = {"vhdx", "avhdx"};
    return kExtensions;
  }
  std::span<const std::string_view> variants() const override {
    static constexpr std::array<std::string_view, 3> kVariants = {"dynamic", "fixed",
                                                                  "differencing"};
    return kVariants;
  }

  Match probe(const ProbeInput& input) const override {
    constexpr auto kSignature = FileIdentifier().signature;
    const bool found = input.head.size() >= kSignature.size() &&
                       std::memcmp(input.head.data(), kSignature.data(), kSignature.size()) == 0;
    return found ? Match::sure : Match::no;
  }

  Result<ImagePtr> open(const OpenRequest& request) const override {
    TRY(read_creator(*request.file));
    Headers headers = TRY(read_headers(*request.file));
    FilePtr shown = request.file;
    std::string log_fault;
    if (!headers.current.log.is_nil()) {
      Result<LogReplay> replay = read_log(*request.file, headers.current);
      if (!replay && (!request.info_only || replay.error().code() != Errc::corrupt)) {
        return std::move(replay.error());
      }
      if (!replay) {
        log_fault = replay.error().message();
      } else {
        shown =
            std::make_shared<ReplayedFile>(request.file, *replay, TRY(request.file->stat()).size);
      }
    }
    Parsed header = TRY(parse(*shown, headers));
    if (!log_fault.empty()) header.warnings.push_back(log_fault);
    header.log_fault = std::move(log_fault);
    return ImagePtr(
        std::make_unique<VhdxImage>(request.file, shown, request.tables, std::move(header)));
  }

  bool can_create() const override { return true; }
  std::span<const CreatableVariant> creatable_variants() const override {
    static constexpr std::array<CreatableVariant, 2> kCreatable = {
        {{"dynamic", "fixed", "off"}, {"fixed", "fixed", "on"}}};
    return kCreatable;
  }
  bool can_create_child() const override { return true; }
  std::span<const OptionSpec> create_options() const override { return kCreateOptions; }
  Result<ImageWriterPtr> create(const CreateRequest& request) const override {
    return create_vhdx(request);
  }
};

}  // namespace

const Format& vhdx_format() {
  static const VhdxFormat format;
  return format;
}

}  // namespace platter::vhdx
