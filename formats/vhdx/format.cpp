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
    const FilePtr& file = request.file;
    VhdxImage::Files files{file, file};
    Parsed header;
    if (request.writable && !request.info_only) {
      header = TRY(parse_for_change(*file));
      TRY(Changes::check_supported(header));
    } else {
      header = TRY(parse_for_reading(files, request.info_only));
    }
    return ImagePtr(std::make_unique<VhdxImage>(std::move(files), request.tables, std::move(header),
                                                request.writable ? request.epochs : nullptr,
                                                request.info_only));
  }

  bool can_write() const override { return true; }
  bool can_resize() const override { return true; }
  bool can_compact() const override { return true; }
  bool can_check() const override { return true; }
  bool can_repair() const override { return true; }
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

 private:
  // Replays the log in memory. Who only asks for information is told what is wrong with it.
  static Result<Parsed> parse_for_reading(VhdxImage::Files& files, bool info_only) {
    TRY(read_creator(*files.image));
    const Headers headers = TRY(read_headers(*files.image));
    std::string log_fault;
    if (!headers.current.log.is_nil()) {
      Result<LogReplay> replay = read_log(*files.image, headers.current);
      if (replay) {
        const uint64_t size = TRY(files.image->stat()).size;
        files.shown = std::make_shared<ReplayedFile>(files.image, *replay, size);
      } else if (info_only && replay.error().code() == Errc::corrupt) {
        log_fault = replay.error().message();
      } else {
        return std::move(replay.error());
      }
    }
    Parsed header = TRY(parse(*files.shown, headers));
    if (!log_fault.empty()) header.warnings.push_back(log_fault);
    header.log_fault = std::move(log_fault);
    return header;
  }
};

}  // namespace

const Format& vhdx_format() {
  static const VhdxFormat format;
  return format;
}

}  // namespace platter::vhdx
