#include "lib/container/container.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::TempDir;

TEST(Container, ReadsARawFileAsItIs) {
  const TempDir dir;
  test::write_file(dir / "a.img", std::string(3000, 'x'));
  auto container = Container::open(dir / "a.img");
  ASSERT_TRUE(container) << container.error().message();
  std::vector<std::byte> out(3000);
  ASSERT_TRUE((*container)->live()->read(0, out));
  EXPECT_EQ(out.front(), std::byte{'x'});
  EXPECT_EQ(out.back(), std::byte{'x'});
  EXPECT_TRUE((*container)->chain().front().guessed);
}

TEST(Container, RefusesAReadPastTheEndOfTheDisk) {
  const TempDir dir;
  test::write_file(dir / "a.img", std::string(3000, 'x'));
  auto container = Container::open(dir / "a.img");
  ASSERT_TRUE(container);
  std::vector<std::byte> out(2);
  EXPECT_FALSE((*container)->live()->read(2999, out));
}

TEST(Container, RefusesAnEmptyFile) {
  const TempDir dir;
  test::write_file(dir / "a.img", "");
  auto container = Container::open(dir / "a.img");
  ASSERT_FALSE(container);
  EXPECT_EQ(container.error().message(), dir / "a.img" + ": is empty: no disk image");
}

}  // namespace
}  // namespace platter
