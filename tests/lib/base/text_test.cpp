#include "lib/base/text.h"

#include <gtest/gtest.h>

#include "lib/base/range.h"

namespace platter {
namespace {

using namespace std::string_view_literals;

TEST(Printable, LeavesOrdinaryTextAlone) {
  EXPECT_EQ(printable("disk 1.vdi: \"ok\""), "disk 1.vdi: \"ok\"");
  EXPECT_EQ(printable("Größe € 😀"), "Größe € 😀");
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, EscapesWhatCouldSteerATerminal) {
  EXPECT_EQ(printable("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(printable("a\nb\tc\rd"), "a\\x0ab\\x09c\\x0dd");
  EXPECT_EQ(printable("\0"sv), "\\x00");
  EXPECT_EQ(printable("\x7f"), "\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J"),
            "\\xc2\\x9b2J");  // CSI as one character
}

TEST(Printable, EscapesBytesThatAreNotUtf8) {
  EXPECT_EQ(printable("a\xff"), "a\\xff");
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82");
  EXPECT_EQ(printable("\xc3"), "\\xc3");
}

TEST(Printable, AlwaysGivesUtf8) {
  for (unsigned a = 0; a < 256; ++a) {
    for (unsigned b = 0; b < 256; ++b) {
      const std::string text{static_cast<char>(a), static_cast<char>(b)};
      const std::string out = printable(text);
      EXPECT_TRUE(is_utf8(out));
      EXPECT_EQ(out.find('\n'), std::string::npos);
    }
  }
}

TEST(IsUtf8, AcceptsTheLimitsOfEachLength) {
  for (const auto text :
       {"\x7f"sv, "\xc2\x80"sv, "\xdf\xbf"sv, "\xe0\xa0\x80"sv, "\xed\x9f\xbf"sv, "\xee\x80\x80"sv,
        "\xef\xbf\xbf"sv, "\xf0\x90\x80\x80"sv, "\xf4\x8f\xbf\xbf"sv, ""sv, "\0"sv}) {
    EXPECT_TRUE(is_utf8(text)) << printable(text);
  }
}

TEST(IsUtf8, RefusesOverlongSurrogateTooLargeAndCutSequences) {
  for (const auto text :
       {"\x80"sv, "\xbf"sv, "\xc0\x80"sv, "\xc1\xbf"sv, "\xe0\x9f\xbf"sv, "\xed\xa0\x80"sv,
        "\xed\xbf\xbf"sv, "\xf0\x8f\xbf\xbf"sv, "\xf4\x90\x80\x80"sv, "\xf5\x80\x80\x80"sv,
        "\xff"sv, "\xe2\x82"sv, "\xf0\x9f\x98"sv, "\xc3("sv, "a\xe2(\xa1"sv}) {
    EXPECT_FALSE(is_utf8(text)) << printable(text);
  }
}

TEST(HumanSize, NamesTheUnit) {
  EXPECT_EQ(human_size(0), "0 B");
  EXPECT_EQ(human_size(1023), "1023 B");
  EXPECT_EQ(human_size(KiB), "1 KiB");
  EXPECT_EQ(human_size(64 * KiB), "64 KiB");
  EXPECT_EQ(human_size(GiB + GiB / 2), "1.5 GiB");
  EXPECT_EQ(human_size(uint64_t{1} << 60), "1 EiB");
  EXPECT_EQ(human_size(UINT64_MAX), "15.9 EiB");
}

TEST(HumanSize, RoundsDown) {
  EXPECT_EQ(human_size(2 * KiB - 1), "1.99 KiB");
  EXPECT_EQ(human_size(100 * MiB - 1), "99.9 MiB");
  EXPECT_EQ(human_size(MiB - 1), "1023 KiB");
  EXPECT_EQ(human_size(KiB + 1), "1 KiB");
  EXPECT_EQ(human_size(10 * KiB + 512), "10.5 KiB");
}

TEST(ParseSize, ReadsUnitsInEitherCase) {
  EXPECT_EQ(parse_size("10"), 10U);
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("10B"), 10U);
  EXPECT_EQ(parse_size("10k"), 10 * KiB);
  EXPECT_EQ(parse_size("10K"), 10 * KiB);
  EXPECT_EQ(parse_size("10KiB"), 10 * KiB);
  EXPECT_EQ(parse_size("3MB"), 3 * MiB);
  EXPECT_EQ(parse_size("2G"), 2 * GiB);
  EXPECT_EQ(parse_size("1T"), 1024 * GiB);
  EXPECT_EQ(parse_size("1P"), uint64_t{1} << 50);
  EXPECT_EQ(parse_size("15E"), uint64_t{15} << 60);
  EXPECT_EQ(parse_size("18446744073709551615"), UINT64_MAX);
}

TEST(ParseSize, ReadsFractionsOfAUnit) {
  EXPECT_EQ(parse_size("1.5G"), GiB + GiB / 2);
  EXPECT_EQ(parse_size("0.5k"), 512U);
  EXPECT_EQ(parse_size("1.1G"), 1181116006U);
  EXPECT_EQ(parse_size("15.999999999E"), (uint64_t{15} << 60) + 1152921503453925471U);
}

TEST(ParseSize, RefusesWhatIsNoSize) {
  for (const std::string_view text :
       {"",    "k",   "-1",  "+1",    " 1",    "1 ",     "1x",
        "1kk", "1ki", "1Ki", "1KiBB", "0x10",  "1e3",    ".5k",
        "1.",  "1.k", "1.5", "1.5B",  "1..5k", "1.5.5k", "1.0123456789k",
        "1,5k"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
}

TEST(ParseSize, RefusesWhatOverflows) {
  EXPECT_EQ(parse_size("18446744073709551616"), std::nullopt);
  EXPECT_EQ(parse_size("16E"), std::nullopt);
  EXPECT_EQ(parse_size("99999999999999999999999999"), std::nullopt);
}

}  // namespace
}  // namespace platter
