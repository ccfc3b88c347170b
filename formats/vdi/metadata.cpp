#include "formats/vdi/metadata.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vdi/create.h"
#include "lib/base/text.h"
#include "lib/image/metadata_value.h"

namespace platter::vdi {
namespace {

template <class... Args>
Error invalid(fmt::format_string<Args...> text, Args&&... args) {
  return {Errc::invalid, fmt::format(text, std::forward<Args>(args)...)};
}

Result<Uuid> uuid_not_nil(const std::string& key, const std::string& value) {
  const Uuid uuid = TRY(uuid_value(key, value));
  if (uuid.is_nil()) return invalid("{}={}: a VDI must have one", key, value);
  return uuid;
}

// The header on its way to its new state.
class Editor {
 public:
  Editor(const Parsed& parsed, Header1& header) : parsed_(parsed), header_(header) {}

  Result<void> set(const std::string& key, const std::string& value) {
    if (key == "comment") return set_comment(value);
    if (key == "uuid") return set_uuid(header_.uuid, key, value);
    if (key == "modification-uuid") return set_uuid(header_.modification_uuid, key, value);
    if (key == "parent-uuid") return set_parent(value);
    if (key == "parent-modification-uuid") return set_parent_modification(value);
    if (key == "geometry-lchs") return set_lchs(value);
    if (key == "geometry-pchs") {
      return Error(Errc::unsupported, "geometry-pchs: a VDI keeps no physical geometry");
    }
    return Error(Errc::unsupported, fmt::format("{}: a VDI keeps no such value", printable(key)));
  }

 private:
  Result<void> set_comment(const std::string& value) {
    if (value.size() >= header_.comment.size()) {
      return invalid("comment: {} bytes, at most {} are possible", value.size(),
                     header_.comment.size() - 1);
    }
    if (!is_utf8(value) || value.find('\0') != std::string::npos) {
      return invalid("comment: not a text in UTF-8");
    }
    header_.comment.fill('\0');
    std::copy(value.begin(), value.end(), header_.comment.begin());
    return {};
  }

  static Result<void> set_uuid(DiskUuid& field, const std::string& key, const std::string& value) {
    field = TRY(uuid_not_nil(key, value)).to_microsoft();
    return {};
  }

  Result<void> expect_child(const std::string& key) const {
    if (parsed_.type == Type::differencing) return {};
    return Error(Errc::unsupported, fmt::format("{}: the image has no parent", key));
  }

  Result<void> set_parent(const std::string& value) {
    TRY(expect_child("parent-uuid"));
    return set_uuid(header_.parent_uuid, "parent-uuid", value);
  }

  // None: whatever the parent has.
  Result<void> set_parent_modification(const std::string& value) {
    constexpr auto kKey = "parent-modification-uuid";
    TRY(expect_child(kKey));
    header_.parent_modification_uuid = TRY(uuid_value(kKey, value)).to_microsoft();
    return {};
  }

  Result<void> set_lchs(const std::string& value) {
    if (parsed_.minor == 0 || header_.header_size < kLchsHeaderSize) {
      return Error(Errc::unsupported, "geometry-lchs: this VDI's header has no room for it");
    }
    const auto chs = parse_chs(value);
    if (!chs || chs->heads > 255 || chs->sectors > 63) {
      return invalid("geometry-lchs={}: must be C/H/S, at most 255 heads and 63 sectors",
                     printable(value));
    }
    header_.lchs = {chs->cylinders, chs->heads, chs->sectors, kSectorSize};
    return {};
  }

  const Parsed& parsed_;
  Header1& header_;
};

// change: given the header. One write of one sector; durable when it returns.
template <class Change>
Result<void> change_header(File& file, Change&& change) {
  static_assert(sizeof(PreHeader) + sizeof(Header1) <= kSectorSize);
  Header1 header;
  const uint32_t size = TRY(file.read_struct<le32>(sizeof(PreHeader)));
  const auto bytes = std::as_writable_bytes(std::span(&header, 1))
                         .first(std::min(std::max(size, kMinHeaderSize), kLchsHeaderSize));
  TRY(file.read_exact(sizeof(PreHeader), bytes));
  TRY(change(header));
  TRY(file.write(sizeof(PreHeader), bytes));
  return file.sync();
}

}  // namespace

Result<void> set_metadata(File& file, const Parsed& parsed, const Metadata& values) {
  return change_header(file, [&](Header1& header) -> Result<void> {
    Editor editor(parsed, header);
    for (const auto& [key, value] : values) TRY(editor.set(key, value));
    return {};
  });
}

Result<void> set_parent(File& file, const Parsed& parsed, const ParentLink& parent) {
  TRY(check_parent(parent));
  const Uuid content = parent.modification_uuid.value_or(Uuid{});
  return set_metadata(file, parsed,
                      {{"parent-uuid", parent.uuid->to_string()},
                       {"parent-modification-uuid", content.to_string()}});
}

Result<void> drop_parent(File& file) {
  return change_header(file, [](Header1& header) -> Result<void> {
    const bool child = header.type == static_cast<uint32_t>(Type::differencing);
    if (child) header.type = static_cast<uint32_t>(Type::dynamic);
    header.parent_uuid = {};
    header.parent_modification_uuid = {};
    return {};
  });
}

}  // namespace platter::vdi
