// XML documents from outside, with bounds on what they may ask of who reads them.
#pragma once

#include <cstdint>
#include <vector>

#include <pugixml.hpp>

#include "lib/base/range.h"
#include "lib/base/result.h"

namespace platter {

inline constexpr uint64_t kMaxXmlSize = 16 * MiB;

// A parsed document; its nodes live as long as it does. Document types are skipped: no entity is
// defined or expanded but the five of XML itself and characters by number.
class XmlDocument {
 public:
  // text: UTF-8. Errc::corrupt: not well-formed, longer than kMaxXmlSize, more than 131072 tags or
  // 262144 attributes, or deeper than 256 elements. Memory: the text, and 30 MiB at most.
  static Result<XmlDocument> parse(std::vector<char> text);

  pugi::xml_node root() const { return document_.document_element(); }

 private:
  explicit XmlDocument(std::vector<char> text) : text_(std::move(text)) {}

  std::vector<char> text_;  // the nodes point into it
  pugi::xml_document document_;
};

}  // namespace platter
