#include <array>
#include <optional>

#include <fmt/format.h>

#include "formats/raw/raw_image.h"
#include "lib/base/checked.h"
#include "lib/image/format.h"

namespace platter::raw {
namespace {

constexpr uint64_t kMaxParts = 1000;

// The name of the part behind this one of a split set: "x.000" "x.001" …, "x.aa" "x.ab" …
std::optional<std::string> next_part(const std::string& name) {
  std::string next = name;
  size_t digits = 0;
  for (size_t i = next.size(); i-- > 0 && next[i] != '.'; ++digits) {
    char& c = next[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'))) return std::nullopt;
    if (c == '9' || c == 'z') {
      c = c == '9' ? '0' : 'a';
      continue;
    }
    ++c;
    return next;
  }
  return std::nullopt;
}

bool first_of_a_set(std::string_view name) {
  return name.ends_with(".000") || name.ends_with(".001") || name.ends_with(".aa");
}

// Plain sequential copy: the bytes go where they belong, what is left out stays a hole.
class RawWriter final : public ImageWriter {
 public:
  RawWriter(FilePtr file, uint64_t size) : file_(std::move(file)), size_(size) {}
  uint64_t block_size() const override { return 4 * KiB; }
  Result<void> write(uint64_t offset, Bytes data) override { return file_->write(offset, data); }
  Result<void> finish() override {
    TRY(file_->resize(size_));
    return file_->sync();
  }

 private:
  FilePtr file_;
  uint64_t size_;
};

class RawFormat final : public Format {
 public:
  std::string_view name() const override { return "raw"; }
  std::span<const std::string_view> extensions() const override {
    static constexpr std::array<std::string_view, 6> kExtensions = {"raw", "img", "dd",
                                                                    "bin", "iso", "000"};
    return kExtensions;
  }
  std::span<const std::string_view> variants() const override {
    static constexpr std::array<std::string_view, 2> kVariants = {"flat", "split"};
    return kVariants;
  }
  Match probe(const ProbeInput& /*input*/) const override { return Match::no; }
  Result<ImagePtr> open(const OpenRequest& request) const override;
  bool can_write() const override { return true; }
  bool can_create() const override { return true; }
  std::span<const CreatableVariant> creatable_variants() const override {
    static constexpr std::array<CreatableVariant, 1> kCreatable = {{{"flat", "", ""}}};
    return kCreatable;
  }
  bool can_resize() const override { return true; }
  bool can_compact() const override { return true; }
  Result<ImageWriterPtr> create(const CreateRequest& request) const override {
    return ImageWriterPtr(std::make_unique<RawWriter>(request.file, request.size));
  }
};

Result<void> append(std::vector<RawImage::Part>& parts, FilePtr file) {
  const uint64_t start = parts.empty() ? 0 : parts.back().guest.end();
  const uint64_t size = TRY(file->stat()).size;
  if (size == 0 && !parts.empty()) {
    return Error(Errc::corrupt, fmt::format("part {} is empty", file->name()));
  }
  if (!fits(start, size, kMaxOffset)) return Error(Errc::unsupported, "the parts are too large");
  parts.push_back({{start, size}, std::move(file)});
  return {};
}

Result<ImagePtr> RawFormat::open(const OpenRequest& request) const {
  std::vector<RawImage::Part> parts;
  TRY(append(parts, request.file));
  std::optional<std::string> next = request.file->name();
  while (first_of_a_set(request.file->name()) && parts.size() < kMaxParts) {
    next = next_part(*next);
    if (!next) break;
    Result<FilePtr> part = request.resolver.open(next->substr(next->rfind('/') + 1),
                                                 request.writable ? Access::write : Access::read);
    if (!part && part.error().code() == Errc::not_found) break;
    if (!part) return std::move(part.error());
    TRY(append(parts, *part));
  }
  ImageInfo info{.format = "raw", .variant = parts.size() > 1 ? "split" : "flat"};
  if (parts.size() > 1) info.details.emplace_back("parts", uint64_t{parts.size()});
  return ImagePtr(std::make_unique<RawImage>(std::move(parts), std::move(info), request.writable));
}

}  // namespace

const Format& raw_format() {
  static const RawFormat format;
  return format;
}

}  // namespace platter::raw
