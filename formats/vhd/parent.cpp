#include "formats/vhd/parent.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vhd/utf16.h"
#include "lib/base/text.h"

namespace platter::vhd {
namespace {

std::string last_part(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

bool is_absolute(std::string_view path) {
  return path.starts_with('/') || (path.size() >= 2 && path[1] == ':');
}

// As a reference of ours; empty: it names no file.
std::string reference_of(std::string path) {
  std::ranges::replace(path, '\\', '/');
  if (is_absolute(path)) return last_part(path);
  while (path.starts_with("./")) path.erase(0, 2);
  return path.ends_with('/') ? std::string() : path;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The name of the file a URL ends with.
std::string name_in_url(std::string_view url) {
  std::string name;
  const std::string part = last_part(url);
  for (size_t i = 0; i < part.size(); ++i) {
    const int high = part[i] == '%' && i + 2 < part.size() ? hex_value(part[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(part[i + 2]) : -1;
    if (low < 0) {
      name += part[i];
      continue;
    }
    name += static_cast<char>(high * 16 + low);
    i += 2;
  }
  // What the escapes stood for may be anything.
  return name.find('/') == std::string::npos && name.find('\0') == std::string::npos ? name : "";
}

std::string reference_of(const Locator& locator) {
  if (locator.code == "W2ru" || locator.code == "Wi2r") return reference_of(locator.text);
  if (locator.code == "W2ku" || locator.code == "Wi2k") {
    return last_part(reference_of(locator.text));
  }
  if (locator.code == "MacX") return name_in_url(locator.text);
  return {};
}

Error cannot_name(const std::string& reference, const char* why) {
  return {Errc::invalid,
          fmt::format("cannot name its parent \"{}\": {}", printable(reference), why)};
}

}  // namespace

ParentLink parent_of(const Parsed& parsed) {
  std::vector<std::string> names;
  const auto add = [&](std::string name) {
    if (name.empty() || name == "." || name == "..") return;
    if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
  };
  const auto add_those = [&](std::string_view code) {
    for (const Locator& locator : parsed.locators) {
      if (locator.code == code) add(reference_of(locator));
    }
  };
  add_those("W2ru");
  add(reference_of(parsed.parent_name));
  for (const char* code : {"W2ku", "Wi2r", "Wi2k", "MacX"}) add_those(code);
  ParentLink link{.format = "vhd"};
  if (!parsed.parent_uuid.is_nil()) link.uuid = parsed.parent_uuid;
  if (const uint32_t changed = parsed.header.parent_changed; changed != 0) {
    link.mtime_s = kEpoch + changed;
  }
  if (names.empty()) return link;
  link.reference = names.front();
  link.other_references.assign(names.begin() + 1, names.end());
  return link;
}

Result<std::vector<std::byte>> name_parent(const ParentLink& parent, DynamicHeader& header) {
  if (!parent.format.empty() && parent.format != "vhd") {
    return Error(Errc::invalid, fmt::format("the parent is {}: a VHD can only have another VHD",
                                            printable(parent.format)));
  }
  if (!parent.uuid || parent.uuid->is_nil()) {
    return Error(Errc::invalid, "the parent has no UUID, and a VHD tells its parent by it");
  }
  header.parent_uuid = parent.uuid->bytes;
  const int64_t changed = parent.mtime_s.value_or(0) - kEpoch;
  header.parent_changed = static_cast<uint32_t>(std::clamp<int64_t>(changed, 0, 0xffffffff));
  header.parent_name = {};
  header.locators = {};
  if (parent.reference.empty()) return std::vector<std::byte>();
  if (parent.reference.find_first_of("\\:") != std::string::npos) {
    return cannot_name(parent.reference, "backslashes and colons mean something to Windows");
  }
  std::string path = is_absolute(parent.reference) ? last_part(parent.reference) : parent.reference;
  const auto name = utf16_of(last_part(path), UnitOrder::big);
  std::ranges::replace(path, '/', '\\');
  if (!path.starts_with("..\\")) path.insert(0, ".\\");
  const auto text = utf16_of(path, UnitOrder::little);
  if (!name || !text) return cannot_name(parent.reference, "is not UTF-8");
  if (name->size() >= sizeof header.parent_name) {
    return cannot_name(parent.reference, "at most 255 letters are possible");
  }
  std::ranges::copy(*name, std::as_writable_bytes(std::span(header.parent_name)).begin());
  return *text;
}

void place_locator(DynamicHeader& header, uint64_t offset, uint64_t length) {
  if (length == 0) return;
  ParentLocator& locator = header.locators[0];
  locator.code = {'W', '2', 'r', 'u'};
  locator.space = static_cast<uint32_t>(locator_space(length));
  locator.length = static_cast<uint32_t>(length);
  locator.offset = offset;
}

}  // namespace platter::vhd
