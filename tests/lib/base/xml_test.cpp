#include "lib/base/xml.h"

#include <string>

#include <gtest/gtest.h>

namespace platter {
namespace {

Result<XmlDocument> parsed_xml(const std::string& text) {
  return XmlDocument::parse({text.begin(), text.end()});
}
std::string xml_refusal(const std::string& text) {
  const auto document = parsed_xml(text);
  return document ? "" : document.error().message();
}
std::string repeated(size_t n, std::string_view text) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += text;
  return out;
}

TEST(Xml, ReadsElementsAttributesAndText) {
  auto document =
      parsed_xml("<?xml version=\"1.0\"?><a x=\"1 &amp; 2\"><!-- no --><b>&#65;&lt;</b></a>");
  ASSERT_TRUE(document) << document.error().message();
  // The nodes go along.
  const XmlDocument moved = *std::move(document);
  EXPECT_STREQ(moved.root().name(), "a");
  EXPECT_STREQ(moved.root().attribute("x").value(), "1 & 2");
  EXPECT_STREQ(moved.root().child("b").child_value(), "A<");
}

TEST(Xml, ExpandsNothingThatADocumentTypeDefines) {
  const auto document = parsed_xml(
      "<!DOCTYPE a [<!ENTITY x SYSTEM \"/etc/hostname\"><!ENTITY y \"yy\">]><a>&x;&y;</a>");
  ASSERT_TRUE(document) << document.error().message();
  EXPECT_STREQ(document->root().child_value(), "&x;&y;");
}

TEST(Xml, RejectsWhatIsNotWellFormed) {
  for (const char* text : {"", "x", "<a>", "<a></b>", "<a", "<a b=c/>", "<!-- -->", "<!DOCTYPE a [",
                           "<a><![CDATA[</a>", "</a>"}) {
    EXPECT_NE(xml_refusal(text), "") << text;
  }
}

TEST(Xml, RejectsTooMuchText) {
  EXPECT_EQ(xml_refusal("<a>" + std::string(16 * MiB, ' ') + "</a>"), "more than 16 MiB of XML");
  EXPECT_EQ(xml_refusal("<a>" + std::string(16 * MiB - 7, ' ') + "</a>"), "");
}

TEST(Xml, RejectsTooManyTagsAndAttributes) {
  EXPECT_EQ(xml_refusal("<a>" + repeated(131070, "<b/>") + "</a>"), "");
  EXPECT_EQ(xml_refusal("<a>" + repeated(131071, "<b/>") + "</a>"), "XML of too many tags");
  EXPECT_EQ(xml_refusal("<a" + repeated(262145, " b=\"\"") + "/>"), "XML of too many tags");
}

TEST(Xml, RejectsTooManyLevels) {
  EXPECT_EQ(xml_refusal(repeated(256, "<a>") + repeated(256, "</a>")), "");
  EXPECT_EQ(xml_refusal(repeated(257, "<a>") + repeated(257, "</a>")), "XML of too many levels");
  EXPECT_EQ(xml_refusal(repeated(60000, "<a>") + repeated(60000, "</a>")),
            "XML of too many levels");
}

}  // namespace
}  // namespace platter
