#include "lib/image/registry.h"

#include <set>

#include <gtest/gtest.h>

#include "lib/image/foreign.h"
#include "lib/io/memory_file.h"
#include "tests/support/bytes.h"

namespace platter {
namespace {

using namespace std::string_view_literals;
using test::bytes_of;

Result<Probed> probe_bytes(std::string_view contents) {
  const MemoryFile file("m", bytes_of(contents));
  return probe(file);
}

TEST(Registry, RawIsTheLastAndClaimsNothing) {
  ASSERT_FALSE(all_formats().empty());
  const Format& raw = *all_formats().back();
  EXPECT_EQ(raw.name(), "raw");
  const ProbeInput input{"disk.raw", 1024, {}, {}};
  EXPECT_EQ(raw.probe(input), Match::no);
}

TEST(Registry, NamesAreLowerCaseAndUnique) {
  std::set<std::string_view> names;
  for (const Format* format : all_formats()) {
    EXPECT_TRUE(names.insert(format->name()).second) << format->name();
    EXPECT_EQ(format->name().find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789"),
              std::string_view::npos);
    EXPECT_FALSE(format->extensions().empty()) << format->name();
    for (const std::string_view extension : format->extensions()) {
      EXPECT_EQ(extension.find_first_of(".ABCDEFGHIJKLMNOPQRSTUVWXYZ"), std::string_view::npos)
          << extension;
    }
  }
}

TEST(Registry, FindsAFormatByNameInAnyCase) {
  for (const Format* format : all_formats()) EXPECT_EQ(find_format(format->name()), format);
  EXPECT_EQ(find_format("RAW"), find_format("raw"));
  EXPECT_EQ(find_format("no-such-format"), nullptr);
  EXPECT_EQ(find_format(""), nullptr);
}

TEST(Registry, FindsAFormatByExtension) {
  EXPECT_EQ(format_for_extension("a.img"), find_format("raw"));
  EXPECT_EQ(format_for_extension("dir.x/a.IMG"), find_format("raw"));
  EXPECT_EQ(format_for_extension("a.img.unknown"), nullptr);
  EXPECT_EQ(format_for_extension("img"), nullptr);
  EXPECT_EQ(format_for_extension("a."), nullptr);
  EXPECT_EQ(format_for_extension(""), nullptr);
}

TEST(Registry, NoFormatIsSureOfNothing) {
  const ProbeInput empty{"x", 0, {}, {}};
  const std::vector<std::byte> zeroes(64 * KiB);
  const ProbeInput blank{"x", zeroes.size(), zeroes, Bytes(zeroes).first(1024)};
  for (const Format* format : all_formats()) {
    EXPECT_EQ(format->probe(empty), Match::no) << format->name();
    EXPECT_EQ(format->probe(blank), Match::no) << format->name();
  }
}

TEST(Registry, NoTwoFormatsAreSureOfTheSameHead) {
  // The head of each known magic, alone and cut at every length.
  for (const auto magic : {"QFI\xfb\0\0\0\3"sv, "QFI\xfb\0\0\0\2"sv, "conectix"sv, "KDMV"sv}) {
    for (size_t n = 0; n <= magic.size(); ++n) {
      std::string text(magic.substr(0, n));
      text.resize(512);
      const auto probed = probe_bytes(text);
      EXPECT_TRUE(probed || probed.error().code() != Errc::invalid);
    }
  }
}

TEST(Probe, RefusesAnEmptyFile) {
  const auto probed = probe_bytes("");
  ASSERT_FALSE(probed);
  EXPECT_EQ(probed.error().code(), Errc::wrong_format);
  EXPECT_EQ(probed.error().message(), "is empty: no disk image");
}

TEST(Probe, TakesWhatNobodyClaimsForRawAndSaysSo) {
  for (const size_t size : {size_t{1}, size_t{511}, size_t{512}, size_t{100000}}) {
    const auto probed = probe_bytes(std::string(size, 'x'));
    ASSERT_TRUE(probed) << size;
    EXPECT_EQ(probed->format, find_format("raw"));
    EXPECT_TRUE(probed->guessed);
  }
}

struct Foreign {
  std::string_view magic;
  std::string_view kind;
  size_t from_end = 0;  // 0: at the start
};

class ForeignTest : public ::testing::TestWithParam<Foreign> {};

TEST_P(ForeignTest, IsNotTakenForRaw) {
  const auto& [magic, kind, from_end] = GetParam();
  std::string text(4096, '\1');
  text.replace(from_end == 0 ? 0 : text.size() - from_end, magic.size(), magic);
  const auto probed = probe_bytes(text);
  ASSERT_FALSE(probed) << kind;
  EXPECT_EQ(probed.error().code(), Errc::unsupported);
  EXPECT_EQ(probed.error().message(),
            "is " + std::string(kind) +
                ", which this version cannot read (format=raw would show the file's own bytes)");
}

TEST_P(ForeignTest, IsNotSeenWhereItDoesNotBelongOrCut) {
  const auto& [magic, kind, from_end] = GetParam();
  std::string moved(4096, '\1');
  moved.replace(100, magic.size(), magic);
  EXPECT_TRUE(probe_bytes(moved)) << kind;
  const auto cut = probe_bytes(magic.substr(0, magic.size() - 1));
  EXPECT_TRUE(cut || cut.error().code() != Errc::unsupported) << kind;
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, ForeignTest,
    ::testing::Values(Foreign{"QED\0"sv, "a QED image"},
                      Foreign{"WithoutFreeSpace"sv, "a Parallels image"},
                      Foreign{"WithouFreSpacExt"sv, "a Parallels image"},
                      Foreign{"EVF\x09\x0d\x0a\xff\0"sv, "an EWF image"},
                      Foreign{"Bochs Virtual HD Image"sv, "a Bochs image"},
                      Foreign{"\x3a\xff\x26\xed\1\0"sv, "an Android sparse image"},
                      Foreign{"sprs\0\0\0\3"sv, "a sparse image of macOS"},
                      Foreign{"#!/bin/sh\n#V2.0 Format\n"sv, "a cloop image"}));

TEST(Foreign, FilesShorterThanAFooterAreNotReadBeforeTheirStart) {
  for (size_t n = 0; n < 1100; n += 7) {
    const std::vector<std::byte> text(n, std::byte{'c'});
    const ProbeInput input{"x", n, text, Bytes(text).last(std::min<size_t>(n, 1024))};
    EXPECT_TRUE(foreign_kind(input).empty());
  }
}

}  // namespace
}  // namespace platter
