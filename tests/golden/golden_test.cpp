// Every golden image decodes to the extents and the bytes that were written down when another
// program made it.
#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/container/extent_walk.h"
#include "lib/image/registry.h"
#include "tests/support/disk_digest.h"
#include "tests/support/golden.h"
#include "tests/support/sha256.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_keys.h"

namespace platter {
namespace {

using test::Golden;

std::string_view word(Extent::Kind kind) {
  switch (kind) {
    case Extent::Kind::absent: return "absent";
    case Extent::Kind::zero: return "zero";
    case Extent::Kind::data: return "data";
    case Extent::Kind::encoded: return "encoded";
  }
  return "?";
}

// "start length kind" a line, neighbours of one kind and one run merged.
std::string map_of(const View& view) {
  std::string text;
  const auto done = walk(view, {0, view.size()}, [&](const View::Mapped& m) -> Result<bool> {
    text += fmt::format("{} {} {}\n", m.extent.guest.offset, m.extent.guest.length,
                        word(m.extent.kind));
    return true;
  });
  EXPECT_TRUE(done) << done.error().message();
  return text;
}

class GoldenTest : public ::testing::TestWithParam<Golden> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GoldenTest);

TEST_P(GoldenTest, HasItsExtentsAndItsBytes) {
  const Golden& golden = GetParam();
  const std::string before = test::sha256_of_file(golden.image);
  const auto container = Container::open(golden.image, {.keys = test::test_keys()});
  ASSERT_TRUE(container) << container.error().message();
  // Of an archive it is the one disk in it.
  if (!find_format(golden.format)->holds_images()) {
    EXPECT_EQ((*container)->info().format, golden.format);
  }
  const View& view = *(*container)->live();
  EXPECT_EQ(map_of(view), test::read_file(golden.map));
  std::istringstream expected(test::read_file(golden.digest));
  std::string digest;
  expected >> digest;
  const auto actual = test::sha256_of_disk(view);
  ASSERT_TRUE(actual) << actual.error().message();
  EXPECT_EQ(*actual, digest);
  EXPECT_EQ(test::sha256_of_file(golden.image), before);
}

INSTANTIATE_TEST_SUITE_P(Images, GoldenTest, ::testing::ValuesIn(test::golden_images()),
                         [](const auto& param) {
                           std::string name = param.param.format + "_" + param.param.name;
                           for (char& c : name) c = std::isalnum(c) != 0 ? c : '_';
                           return name;
                         });

TEST(GoldenImages, ExistForEveryFormatWithTables) {
  std::set<std::string> formats;
  for (const Golden& golden : test::golden_images()) formats.insert(golden.format);
  EXPECT_FALSE(formats.empty()) << "no golden image was found at all";
  for (const Format* format : all_formats()) {
    if (format->name() == "raw") continue;
    EXPECT_TRUE(formats.contains(std::string(format->name()))) << format->name();
  }
}

}  // namespace
}  // namespace platter
