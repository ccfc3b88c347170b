#include "formats/vhdx/locator.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/base/text.h"

namespace platter::vhdx {
namespace {

constexpr std::string_view kLinkage = "parent_linkage";
constexpr std::string_view kLinkage2 = "parent_linkage2";
constexpr std::string_view kRelative = "relative_path";
constexpr std::string_view kVolume = "volume_path";
constexpr std::string_view kAbsolute = "absolute_win32_path";

// Of a value; the file systems of Windows have no longer paths.
constexpr size_t kMaxText = 0xfffe;

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
    return;
  }
  const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  constexpr unsigned char kFirst[] = {0, 0xc0, 0xe0, 0xf0};
  out += static_cast<char>(kFirst[more] | (c >> (6 * more)));
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | ((c >> (6 * i)) & 0x3f));
}

// Empty: it is no UTF-16, or has a NUL in it.
std::optional<std::string> from_utf16(Bytes text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  for (size_t i = 0; i < text.size(); i += 2) {
    uint32_t c = load<le16>(text, i);
    if (c == 0 || (c >= 0xdc00 && c < 0xe000)) return std::nullopt;
    if (c >= 0xd800 && c < 0xdc00) {
      if (text.size() - i < 4) return std::nullopt;
      const uint32_t low = load<le16>(text, i += 2);
      if (low < 0xdc00 || low >= 0xe000) return std::nullopt;
      c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(out, c);
  }
  return out;
}

void append_unit(std::vector<std::byte>& out, uint32_t unit) {
  append(out, as_bytes_of(le16(static_cast<uint16_t>(unit))));
}

// text: well-formed.
std::vector<std::byte> to_utf16(std::string_view text) {
  std::vector<std::byte> out;
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i++]);
    const int more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    uint32_t c = more == 0 ? first : first & (0x3fU >> more);
    for (int k = 0; k < more; ++k) c = (c << 6) | (static_cast<unsigned char>(text[i++]) & 0x3fU);
    if (c >= 0x10000) {
      append_unit(out, 0xd800 + ((c - 0x10000) >> 10));
      c = 0xdc00 + ((c - 0x10000) & 0x3ff);
    }
    append_unit(out, c);
  }
  return out;
}

Error bad_locator(std::string_view what) {
  return {Errc::corrupt, fmt::format("parent locator: {}", what)};
}

Result<std::string> text_at(Bytes item, uint32_t offset, uint16_t length) {
  if (!fits(offset, length, item.size())) return bad_locator("an entry points behind its end");
  auto text = from_utf16(item.subspan(offset, length));
  if (!text) return bad_locator("an entry is not a text in UTF-16");
  return *std::move(text);
}

const std::string* value_of(const Locator& locator, std::string_view key) {
  const auto found = std::find_if(locator.begin(), locator.end(),
                                  [&](const auto& pair) { return pair.first == key; });
  return found == locator.end() ? nullptr : &found->second;
}

std::string last_component(std::string_view path) {
  return std::string(path.substr(path.find_last_of("\\/:") + 1));
}

bool begins_at_a_root(std::string_view path) {
  return path.starts_with('\\') || path.starts_with('/') || path.find(':') != std::string::npos;
}

std::string relative_reference(std::string_view path) {
  if (begins_at_a_root(path)) return last_component(path);
  std::string reference(path);
  std::replace(reference.begin(), reference.end(), '\\', '/');
  while (reference.starts_with("./")) reference.erase(0, 2);
  return reference;
}

Result<std::string> relative_path_to(const std::string& reference) {
  const auto cannot = [&](std::string_view why) {
    return Error(Errc::invalid, fmt::format("the parent \"{}\": a VHDX cannot name it, {}",
                                            printable(reference), why));
  };
  if (reference.empty()) return Error(Errc::invalid, "the parent has no name");
  if (reference.starts_with('/')) return cannot("only by a path from its own directory");
  if (!is_utf8(reference)) return cannot("it is not UTF-8");
  std::string path = reference;
  while (path.starts_with("./")) path.erase(0, 2);
  if (path.find_first_of("\\:") != std::string::npos || path.find('\0') != std::string::npos) {
    return cannot("its paths are those of Windows");
  }
  std::replace(path.begin(), path.end(), '/', '\\');
  return path.starts_with("..\\") ? path : ".\\" + path;
}

}  // namespace

Result<Locator> parse_locator(Bytes item) {
  if (item.size() < sizeof(LocatorHeader)) return bad_locator("too short");
  const auto header = load<LocatorHeader>(item);
  if (header.type != guid::kLocatorType) {
    return Error(Errc::unsupported, fmt::format("parent locator: unknown type {}",
                                                Uuid::from_microsoft(header.type).to_string()));
  }
  if (!fits(sizeof header, uint64_t{header.count} * sizeof(LocatorEntry), item.size())) {
    return bad_locator("its entries end behind it");
  }
  Locator locator;
  for (size_t i = 0; i < header.count; ++i) {
    const auto entry = load<LocatorEntry>(item, sizeof header + i * sizeof(LocatorEntry));
    std::string key = TRY(text_at(item, entry.key_offset, entry.key_length));
    if (key.empty()) return bad_locator("an entry without a key");
    if (value_of(locator, key) != nullptr) return bad_locator("a key is there twice");
    std::string value = TRY(text_at(item, entry.value_offset, entry.value_length));
    locator.emplace_back(std::move(key), std::move(value));
  }
  return locator;
}

Result<std::vector<std::byte>> encode_locator(const Locator& locator) {
  LocatorHeader header{.type = guid::kLocatorType};
  header.count = static_cast<uint16_t>(locator.size());
  std::vector<std::byte> out(sizeof header + locator.size() * sizeof(LocatorEntry));
  store(out, 0, header);
  size_t at = sizeof header;
  for (const auto& [key, value] : locator) {
    LocatorEntry entry;
    for (const std::string* text : {&key, &value}) {
      if (!is_utf8(*text)) return Error(Errc::invalid, "parent locator: not a text in UTF-8");
      const std::vector<std::byte> units = to_utf16(*text);
      if (units.size() > kMaxText)
        return Error(Errc::invalid, "parent locator: a text is too long");
      const auto offset = static_cast<uint32_t>(out.size());
      const auto length = static_cast<uint16_t>(units.size());
      (text == &key ? entry.key_offset : entry.value_offset) = offset;
      (text == &key ? entry.key_length : entry.value_length) = length;
      append(out, units);
    }
    store(out, at, entry);
    at += sizeof entry;
  }
  if (out.size() > kMaxItemLength) return Error(Errc::invalid, "parent locator: too long");
  return out;
}

ParentLink link_of(const Locator& locator) {
  ParentLink link{.format = "vhdx"};
  const auto linkage_of = [&](std::string_view key) {
    const std::string* value = value_of(locator, key);
    return value == nullptr ? std::nullopt : Uuid::parse(*value);
  };
  link.modification_uuid = linkage_of(kLinkage);
  link.other_modification_uuid = linkage_of(kLinkage2);
  std::vector<std::string> references;
  if (const std::string* path = value_of(locator, kRelative)) {
    references.push_back(relative_reference(*path));
    // Where it is no longer where it was, it may lie beside its child.
    references.push_back(last_component(*path));
  }
  for (const std::string_view key : {kVolume, kAbsolute}) {
    if (const std::string* path = value_of(locator, key))
      references.push_back(last_component(*path));
  }
  std::vector<std::string> each_once;
  for (std::string& reference : references) {
    const bool known = std::find(each_once.begin(), each_once.end(), reference) != each_once.end();
    if (!reference.empty() && !known) each_once.push_back(std::move(reference));
  }
  if (!each_once.empty()) {
    link.reference = each_once.front();
    link.other_references.assign(each_once.begin() + 1, each_once.end());
  }
  return link;
}

std::string linkage(const Uuid& data_write) {
  return fmt::format("{{{}}}", data_write.to_string());
}

Result<Locator> with_parent(const Locator& locator, const ParentLink& parent) {
  if (!parent.format.empty() && parent.format != "vhdx") {
    return Error(Errc::invalid,
                 fmt::format("the parent is {}: a VHDX can only have another VHDX", parent.format));
  }
  // Who tells the time of the parent would tell what it held.
  if (!parent.modification_uuid && parent.mtime_s) {
    return Error(Errc::invalid, "the parent has no data write GUID, by which a VHDX tells it");
  }
  std::string path = TRY(relative_path_to(parent.reference));
  Locator made;
  if (parent.modification_uuid)
    made = {{std::string(kLinkage), linkage(*parent.modification_uuid)}};
  made.emplace_back(kRelative, std::move(path));
  constexpr std::string_view kKnown[] = {kLinkage, kLinkage2, kRelative, kVolume, kAbsolute};
  for (const auto& pair : locator) {
    if (std::find(std::begin(kKnown), std::end(kKnown), pair.first) == std::end(kKnown)) {
      made.push_back(pair);
    }
  }
  return made;
}

}  // namespace platter::vhdx
