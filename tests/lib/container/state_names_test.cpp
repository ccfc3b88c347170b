#include "lib/container/state_names.h"

#include <set>

#include <gtest/gtest.h>

#include "lib/base/text.h"

namespace platter {
namespace {

using namespace std::string_view_literals;

TEST(EscapeEntry, LeavesOrdinaryNamesAlone) {
  EXPECT_EQ(escape_entry("before update"), "before update");
  EXPECT_EQ(escape_entry("Größe 😀"), "Größe 😀");
  EXPECT_EQ(escape_entry("..."), "...");
  EXPECT_EQ(escape_entry(".hidden"), ".hidden");
}

TEST(EscapeEntry, EscapesWhatNoDirectoryEntryMayHold) {
  EXPECT_EQ(escape_entry("a/b"), "a%2Fb");
  EXPECT_EQ(escape_entry("50%"), "50%25");
  EXPECT_EQ(escape_entry("a\nb\x7f"), "a%0Ab%7F");
  EXPECT_EQ(escape_entry("\0"sv), "%00");
  EXPECT_EQ(escape_entry("../../etc"), "..%2F..%2Fetc");
}

TEST(EscapeEntry, EscapesTheTwoNamesEveryDirectoryHas) {
  EXPECT_EQ(escape_entry("."), "%2E");
  EXPECT_EQ(escape_entry(".."), "%2E.");
}

TEST(EscapeEntry, IsAtMostAsLongAsANameMayBe) {
  EXPECT_EQ(escape_entry(std::string(255, 'x')), std::string(255, 'x'));
  EXPECT_EQ(escape_entry(std::string(65535, 'x')), std::string(255, 'x'));
}

TEST(EscapeEntry, IsNeverCutInsideAnEscapeOrACharacter) {
  for (size_t n = 250; n < 256; ++n) {
    const std::string escaped = escape_entry(std::string(n, 'x') + "////");
    EXPECT_LE(escaped.size(), 255U);
    EXPECT_EQ((escaped.size() - n) % 3, 0U) << n;
    const std::string text = escape_entry(std::string(n, 'x') + "😀😀");
    EXPECT_LE(text.size(), 255U);
    EXPECT_TRUE(is_utf8(text)) << n;
  }
}

TEST(EscapeEntry, KeepsBytesThatAreNoUtf8) {
  EXPECT_EQ(escape_entry("a\xff"), "a\xff");
  EXPECT_GT(escape_entry(std::string(400, '\x80')).size(), 250U);
}

TEST(EntryNames, TheFirstOfTwoKeepsThePlainName) {
  EXPECT_EQ(entry_names({{"a", "1"}, {"b", "2"}, {"a", "3"}}),
            (std::vector<std::string>{"a", "b", "a@3"}));
}

TEST(EntryNames, AreNeverEmpty) {
  EXPECT_EQ(entry_names({{"", "1"}, {"", "1"}, {"", ""}}),
            (std::vector<std::string>{"@1", "@1@2", "@"}));
}

TEST(EntryNames, DoNotRunIntoAPlainNameThatLooksLikeOne) {
  EXPECT_EQ(entry_names({{"a", "1"}, {"a@2", "9"}, {"a", "2"}}),
            (std::vector<std::string>{"a", "a@2", "a@2@2"}));
  EXPECT_EQ(entry_names({{"a", "1"}, {"a", "2"}, {"a@2", "9"}}),
            (std::vector<std::string>{"a", "a@2", "a@2@9"}));
}

TEST(EntryNames, EscapedNamesCanClashToo) {
  EXPECT_EQ(entry_names({{"a/b", "1"}, {"a%2Fb", "2"}, {"a/b", "3"}}),
            (std::vector<std::string>{"a%2Fb", "a%252Fb", "a%2Fb@3"}));
}

TEST(EntryNames, LongNamesAndIdsStayApartAndShort) {
  const std::string name(300, 'n');
  const std::string id(300, 'i');
  const auto entries = entry_names({{name, id}, {name, id}, {name, id}, {name, id + "x"}});
  std::set<std::string> unique(entries.begin(), entries.end());
  EXPECT_EQ(unique.size(), 4U);
  for (const std::string& entry : entries) EXPECT_LE(entry.size(), 255U);
}

TEST(EntryNames, SixtyThousandEqualOnesAreNamedWithoutASearchEach) {
  const std::vector<EntryName> names(60000, EntryName{"same", "1"});
  const auto entries = entry_names(names);
  EXPECT_EQ(entries.back(), "same@1@59999");
  EXPECT_EQ(std::set<std::string>(entries.begin(), entries.end()).size(), 60000U);
}

}  // namespace
}  // namespace platter
