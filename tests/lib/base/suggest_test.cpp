#include "lib/base/suggest.h"

#include <array>

#include <gtest/gtest.h>

namespace platter {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"convert", "compare", "compact", "map", "info"};

TEST(ClosestName, ForgivesASlipInEveryThreeLetters) {
  EXPECT_EQ(closest_name("convret", kNames), "convert");
  EXPECT_EQ(closest_name("conver", kNames), "convert");
  EXPECT_EQ(closest_name("connvert", kNames), "convert");
  EXPECT_EQ(closest_name("comparr", kNames), "compare");
  EXPECT_EQ(closest_name("mpa", kNames), "map");
  EXPECT_EQ(closest_name("nfo", kNames), "info");
}

TEST(ClosestName, DoesNotGuessWildly) {
  EXPECT_EQ(closest_name("delete", kNames), "");
  EXPECT_EQ(closest_name("xyz", kNames), "");
  EXPECT_EQ(closest_name("", kNames), "");
  EXPECT_EQ(closest_name("x", kNames), "");
  EXPECT_EQ(closest_name(std::string(100'000, 'm'), kNames), "");
}

TEST(ClosestName, TakesTheNearestOfSeveral) {
  EXPECT_EQ(closest_name("compar", kNames), "compare");
  EXPECT_EQ(closest_name("compac", kNames), "compact");
}

TEST(DidYouMean, IsAnAsideOrNothing) {
  EXPECT_EQ(did_you_mean("inof", kNames), " (did you mean info?)");
  EXPECT_EQ(did_you_mean("qqqqqq", kNames), "");
}

}  // namespace
}  // namespace platter
