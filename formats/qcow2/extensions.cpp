#include "formats/qcow2/extensions.h"

#include <algorithm>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/image/stored_name.h"

namespace platter::qcow2 {
namespace {

constexpr uint64_t kMaxDataFileName = 4095;

class Parser {
 public:
  Result<void> take(uint32_t type, Bytes data) {
    switch (static_cast<ExtensionType>(type)) {
      case ExtensionType::backing_format: return take_backing_format(data);
      case ExtensionType::feature_names: return take_feature_names(data);
      case ExtensionType::bitmaps: return take_bitmaps(data);
      case ExtensionType::data_file: return take_data_file(data);
      case ExtensionType::encryption: return take_encryption(data);
      case ExtensionType::end: return {};
    }
    ++out_.unknown;
    return {};
  }
  Extensions& result() { return out_; }

 private:
  static Result<void> once(bool& seen, std::string_view name) {
    if (seen) return Error(Errc::corrupt, fmt::format("header extensions: two of {}", name));
    seen = true;
    return {};
  }
  void warn_of_second(bool& seen, std::string_view name) {
    if (seen) {
      out_.warnings.push_back(fmt::format("header extensions: two of {}: the last counts", name));
    }
    seen = true;
  }

  Result<void> take_backing_format(Bytes data) {
    warn_of_second(backing_format_, "backing format name");
    if (data.size() > kMaxFormatName) {
      return Error(Errc::corrupt, fmt::format("header extensions: a backing format name of {} "
                                              "bytes, at most {} are allowed",
                                              data.size(), kMaxFormatName));
    }
    out_.backing_format = TRY(stored_name("backing format name", data));
    return {};
  }
  Result<void> take_feature_names(Bytes data) {
    warn_of_second(feature_names_, "feature name table");
    out_.feature_names.clear();
    for (size_t at = 0; at + sizeof(RawFeatureName) <= data.size(); at += sizeof(RawFeatureName)) {
      out_.feature_names.push_back(load<RawFeatureName>(data, at));
    }
    return {};
  }
  Result<void> take_bitmaps(Bytes data) {
    TRY(once(bitmaps_, "bitmaps"));
    if (data.size() != sizeof(RawBitmaps)) {
      return Error(Errc::corrupt,
                   fmt::format("header extensions: bitmaps has {} bytes instead of {}", data.size(),
                               sizeof(RawBitmaps)));
    }
    out_.bitmaps = load<RawBitmaps>(data);
    return {};
  }
  Result<void> take_encryption(Bytes data) {
    TRY(once(encryption_, "full disk encryption header"));
    if (data.size() != sizeof(RawEncryption)) {
      return Error(Errc::corrupt, fmt::format("header extensions: full disk encryption header has "
                                              "{} bytes instead of {}",
                                              data.size(), sizeof(RawEncryption)));
    }
    out_.encryption = load<RawEncryption>(data);
    return {};
  }
  Result<void> take_data_file(Bytes data) {
    TRY(once(data_file_, "external data file name"));
    if (data.size() > kMaxDataFileName) {
      return Error(Errc::corrupt, fmt::format("header extensions: an external data file name of "
                                              "{} bytes, at most {} are allowed",
                                              data.size(), kMaxDataFileName));
    }
    out_.data_file = TRY(stored_name("external data file name", data));
    return {};
  }

  Extensions out_;
  bool backing_format_ = false, feature_names_ = false, bitmaps_ = false;
  bool data_file_ = false, encryption_ = false;
};

}  // namespace

std::string Extensions::feature(uint8_t kind, unsigned bit) const {
  for (const RawFeatureName& known : feature_names) {
    if (known.kind != kind || known.bit != bit || known.name[0] == '\0') continue;
    const auto end = std::find(known.name.begin(), known.name.end(), '\0');
    return fmt::format("\"{}\"", std::string(known.name.begin(), end));
  }
  return fmt::format("bit {}", bit);
}

Result<Extensions> parse_extensions(Bytes area, uint64_t limit) {
  Parser parser;
  uint64_t at = 0;
  // A missing end marker is no fault: the area's limit ends it too.
  while (fits(at, sizeof(RawExtension), area.size())) {
    const auto head = load<RawExtension>(area, at);
    at += sizeof head;
    if (head.type == static_cast<uint32_t>(ExtensionType::end)) break;
    if (head.length > limit - at) {
      return Error(Errc::corrupt, fmt::format("header extensions: {:#x} is too large ({} bytes)",
                                              uint32_t{head.type}, uint32_t{head.length}));
    }
    if (head.length > area.size() - at) {
      return Error(Errc::corrupt,
                   fmt::format("header extensions: {:#x} is truncated", uint32_t{head.type}));
    }
    TRY(parser.take(head.type, area.subspan(at, head.length)));
    at = std::min<uint64_t>(align_up(at + head.length, 8), area.size());
  }
  return std::move(parser.result());
}

}  // namespace platter::qcow2
