#include "lib/base/result.h"

#include <memory>

#include <gtest/gtest.h>

namespace platter {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return Error(Errc::invalid, "is odd");
  return n / 2;
}

Result<int> quarter(int n, int& reached) {
  const int h = TRY(half(n));
  ++reached;
  const int q = TRY_IN("second", half(h));
  ++reached;
  return q;
}

Result<void> check(int n) {
  (void)TRY(half(n));
  return {};
}

Result<void> check_both(int a, int b, int& reached) {
  TRY(check(a));
  ++reached;
  TRY_IN("b", check(b));
  ++reached;
  return {};
}

TEST(Result, HoldsAValueOrAnError) {
  const Result<int> good = half(4);
  ASSERT_TRUE(good);
  EXPECT_TRUE(good.has_value());
  EXPECT_EQ(*good, 2);
  const Result<int> bad = half(3);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), Errc::invalid);
  EXPECT_EQ(bad.error().message(), "is odd");
  EXPECT_EQ(bad.error().sys_errno(), 0);
}

TEST(Result, MovesOutAValueThatCannotBeCopied) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  ASSERT_TRUE(result);
  EXPECT_EQ(**result, 7);
  const std::unique_ptr<int> taken = *std::move(result);
  EXPECT_EQ(*taken, 7);
}

TEST(Result, ReachesTheMembersOfItsValue) {
  const Result<std::string> text(std::string("four"));
  EXPECT_EQ(text->size(), 4U);
}

TEST(Try, GoesOnWithTheValue) {
  int reached = 0;
  const Result<int> result = quarter(8, reached);
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 2);
  EXPECT_EQ(reached, 2);
}

TEST(Try, StopsAtTheFirstErrorAndPassesItOn) {
  int reached = 0;
  const Result<int> result = quarter(7, reached);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message(), "is odd");
  EXPECT_EQ(reached, 0);
}

TEST(Try, SaysWhereWhenAsked) {
  int reached = 0;
  const Result<int> result = quarter(6, reached);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message(), "second: is odd");
  EXPECT_EQ(result.error().code(), Errc::invalid);
  EXPECT_EQ(reached, 1);
}

TEST(Try, WorksOnResultsWithoutAValue) {
  int reached = 0;
  EXPECT_TRUE(check_both(2, 2, reached));
  EXPECT_EQ(reached, 2);
  const Result<void> first = check_both(1, 2, reached);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().message(), "is odd");
  const Result<void> second = check_both(2, 1, reached);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message(), "b: is odd");
  EXPECT_EQ(reached, 3);
}

TEST(Error, PrependsEachLayer) {
  const Error error = Error(Errc::io, "cannot read", 5).within("block map entry 7").within("a.vdi");
  EXPECT_EQ(error.message(), "a.vdi: block map entry 7: cannot read");
  EXPECT_EQ(error.code(), Errc::io);
  EXPECT_EQ(error.sys_errno(), 5);
}

TEST(Error, DoesNotSayTheSameNameTwice) {
  EXPECT_EQ(Error(Errc::io, "a.vdi: cannot read").within("a.vdi").message(), "a.vdi: cannot read");
  EXPECT_EQ(Error(Errc::io, "a.vdi2: cannot read").within("a.vdi").message(),
            "a.vdi: a.vdi2: cannot read");
}

}  // namespace
}  // namespace platter
