#include "formats/dmg/tables.h"

#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/base/xml.h"

namespace platter::dmg {
namespace {

// The element behind the key; a property list's dictionary is keys and values in turns.
pugi::xml_node value_of(pugi::xml_node dictionary, const char* key) {
  for (const pugi::xml_node node : dictionary.children("key")) {
    if (std::strcmp(node.child_value(), key) == 0) return node.next_sibling();
  }
  return {};
}

constexpr uint8_t kNoDigit = 64, kSpace = 65, kPadding = 66;

constexpr std::array<uint8_t, 256> base64_digits() {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<uint8_t, 256> digits = {};
  digits.fill(kNoDigit);
  for (size_t i = 0; i < kDigits.size(); ++i) {
    digits[static_cast<uint8_t>(kDigits[i])] = static_cast<uint8_t>(i);
  }
  for (const char c : std::string_view(" \t\n\r")) digits[static_cast<uint8_t>(c)] = kSpace;
  digits['='] = kPadding;
  return digits;
}

// Empty: no base64. Space is allowed everywhere, and padding at the end may be missing.
std::optional<std::vector<std::byte>> decode_base64(std::string_view text) {
  static constexpr auto kDigits = base64_digits();
  std::vector<std::byte> out(text.size() / 4 * 3 + 3);
  size_t made = 0;
  uint32_t bits = 0;
  unsigned count = 0;
  bool ended = false;
  for (const char c : text) {
    const uint8_t digit = kDigits[static_cast<uint8_t>(c)];
    if (digit == kSpace) continue;
    ended = ended || digit == kPadding;
    if (digit == kPadding) continue;
    if (ended || digit == kNoDigit) return std::nullopt;
    bits = bits << 6 | digit;
    if (++count % 4 != 1) out[made++] = static_cast<std::byte>(bits >> (8 - count % 4 * 2) % 8);
  }
  out.resize(made);
  return out;
}

Error in_list(std::string what) { return {Errc::corrupt, "property list: " + std::move(what)}; }

Result<void> visit_list(const File& file, const Range& place, const VisitTable& visit) {
  std::vector<char> text(place.length);
  TRY(file.read_exact(place.offset, std::as_writable_bytes(std::span(text))));
  const XmlDocument document = TRY_IN("property list", XmlDocument::parse(std::move(text)));
  const pugi::xml_node list =
      value_of(value_of(document.root().child("dict"), "resource-fork"), "blkx");
  if (std::strcmp(list.name(), "array") != 0) return in_list("has no tables (blkx)");
  size_t number = 0;
  for (const pugi::xml_node item : list.children("dict")) {
    const pugi::xml_node data = value_of(item, "Data");
    if (!data) return in_list(fmt::format("table {} has no data", number));
    const auto bytes = decode_base64(data.child_value());
    if (!bytes) return in_list(fmt::format("table {} is no base64", number));
    std::string name = value_of(item, "Name").child_value();
    if (name.empty()) name = value_of(item, "CFName").child_value();
    TRY(visit(number++, name, *bytes));
  }
  return {};
}

Result<void> visit_fork(const File& file, const Range& place, const VisitTable& visit) {
  const auto broken = [](std::string_view what) {
    return Error(Errc::corrupt, fmt::format("resource fork: {}", what));
  };
  std::vector<std::byte> fork(place.length);
  TRY(file.read_exact(place.offset, fork));
  if (fork.size() < sizeof(ResourceForkHeader)) return broken("is too short");
  const auto header = load<ResourceForkHeader>(fork);
  if (!fits(header.data_offset, header.data_length, fork.size())) {
    return broken("its data lies past its end");
  }
  Bytes left = Bytes(fork).subspan(header.data_offset, header.data_length);
  size_t number = 0;
  while (left.size() >= sizeof(be32)) {
    const uint32_t length = load<be32>(left);
    left = left.subspan(sizeof(be32));
    if (length > left.size()) return broken("an item lies past its end");
    const Bytes item = left.first(length);
    left = left.subspan(length);
    if (length < sizeof(be32) || load<be32>(item) != kTableMagic) continue;
    TRY(visit(number++, "", item));
  }
  return {};
}

}  // namespace

Result<void> for_each_table(const File& file, const Places& places, const VisitTable& visit) {
  if (!places.xml.empty()) return visit_list(file, places.xml, visit);
  if (!places.resource_fork.empty()) return visit_fork(file, places.resource_fork, visit);
  return Error(Errc::unsupported, "trailer: names no tables: the image is a stub");
}

}  // namespace platter::dmg
