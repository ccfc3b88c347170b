#include "lib/base/xml.h"

#include <algorithm>
#include <string>

namespace platter {
namespace {

constexpr auto kMaxTags = 131072, kMaxAttributes = 262144;
constexpr int kMaxXmlDepth = 256;

// Without recursion: the depth is what is in question.
bool deeper_than_allowed(pugi::xml_node node) {
  int depth = 0;
  while (node) {
    if (depth > kMaxXmlDepth) return true;
    if (const pugi::xml_node child = node.first_child()) {
      node = child;
      ++depth;
      continue;
    }
    while (node && !node.next_sibling()) {
      node = node.parent();
      --depth;
    }
    if (node) node = node.next_sibling();
  }
  return false;
}

}  // namespace

Result<XmlDocument> XmlDocument::parse(std::vector<char> text) {
  if (text.size() > kMaxXmlSize) return Error(Errc::corrupt, "more than 16 MiB of XML");
  // Each makes a node of several words, of however few characters it is.
  if (std::ranges::count(text, '<') > kMaxTags || std::ranges::count(text, '=') > kMaxAttributes) {
    return Error(Errc::corrupt, "XML of too many tags");
  }
  XmlDocument out(std::move(text));
  const pugi::xml_parse_result parsed = out.document_.load_buffer_inplace(
      out.text_.data(), out.text_.size(), pugi::parse_minimal | pugi::parse_escapes,
      pugi::encoding_utf8);
  if (!parsed) {
    return Error(Errc::corrupt, "no well-formed XML: at byte " + std::to_string(parsed.offset));
  }
  if (!out.root()) return Error(Errc::corrupt, "XML without an element");
  if (deeper_than_allowed(out.document_)) return Error(Errc::corrupt, "XML of too many levels");
  return out;
}

}  // namespace platter
