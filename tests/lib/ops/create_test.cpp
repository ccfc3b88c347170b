#include "lib/ops/create.h"

#include <sys/stat.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "tests/lib/ops/each_format.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::Creatable;
using test::TempDir;

class Create : public testing::TestWithParam<Creatable> {
 protected:
  const TempDir dir_;
  const std::string path_ = dir_ / "new";
};

TEST_P(Create, MakesAnImageOfThatSizeAndVariantThatReadsAsZeroes) {
  const auto made = create_image({.path = path_,
                                  .format = *GetParam().format,
                                  .size = 3 * MiB,
                                  .options = GetParam().options(),
                                  .keys = test::test_keys()});
  ASSERT_TRUE(made) << made.error().message();
  const auto container = Container::open(
      path_, {.format = std::string(GetParam().format->name()), .keys = test::test_keys()});
  ASSERT_TRUE(container) << container.error().message();
  EXPECT_EQ((*container)->info().variant, GetParam().variant);
  ASSERT_EQ((*container)->live()->size(), 3 * MiB);
  std::vector<std::byte> bytes(3 * MiB, std::byte{1});
  ASSERT_TRUE((*container)->live()->read(0, bytes));
  EXPECT_EQ(bytes, std::vector<std::byte>(3 * MiB));
}

TEST_P(Create, MakesAFileThatOnlyItsOwnerReads) {
  ASSERT_TRUE(create_image({.path = path_,
                            .format = *GetParam().format,
                            .size = MiB,
                            .options = GetParam().options(),
                            .keys = test::test_keys()}));
  struct stat st = {};
  ASSERT_EQ(stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0600U);
}

TEST_P(Create, RefusesAnUnknownOptionAndListsTheKnownOnes) {
  const auto made = create_image(
      {.path = path_, .format = *GetParam().format, .size = MiB, .options = {{"no_such", "1"}}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Errc::invalid);
  for (const OptionSpec& option : GetParam().format->create_options()) {
    EXPECT_NE(made.error().message().find(option.name), std::string::npos);
  }
  EXPECT_NE(made.error().message().find("subformat"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

TEST_P(Create, RefusesAnUnknownVariant) {
  const auto made = create_image({.path = path_,
                                  .format = *GetParam().format,
                                  .size = MiB,
                                  .options = {{"subformat", "no-such"}}});
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message().find(GetParam().variant), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

TEST_P(Create, RefusesASizeThatIsTooLargeAndLeavesNothing) {
  const auto made = create_image({.path = path_,
                                  .format = *GetParam().format,
                                  .size = kMaxOffset,
                                  .options = GetParam().options(),
                                  .keys = test::test_keys()});
  EXPECT_FALSE(made);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

INSTANTIATE_TEST_SUITE_P(EachVariant, Create, testing::ValuesIn(test::everything_creatable()),
                         test::name_of);

TEST(CreateOptions, TurnTheVariantIntoTheOptionThatMakesIt) {
  for (const Creatable& creatable : test::everything_creatable()) {
    const auto options = create_options(*creatable.format, creatable.options());
    ASSERT_TRUE(options);
    EXPECT_FALSE(options->contains("subformat"));
  }
}

TEST(CreateOptions, RefuseAVariantAndAnOptionThatContradictIt) {
  for (const Format* format : all_formats()) {
    const auto variants = format->creatable_variants();
    if (variants.size() < 2) continue;
    const auto options = create_options(
        *format, {{"subformat", std::string(variants[0].name)},
                  {std::string(variants[1].option), std::string(variants[1].value)}});
    ASSERT_FALSE(options) << format->name();
    EXPECT_NE(options.error().message().find("exclude one another"), std::string::npos);
  }
}

}  // namespace
}  // namespace platter
