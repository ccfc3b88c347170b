// A raw image through a mount: the tree and the bytes.
#include <gtest/gtest.h>

#include "tests/support/mount.h"

namespace platter {
namespace {

using test::Mount;
using test::TempDir;

TEST(RawMount, ShowsTheBytesOfTheImage) {
  const TempDir dir;
  std::string contents(3 * MiB + 12345, '\0');
  for (size_t i = 0; i < contents.size(); ++i) contents[i] = static_cast<char>(i * 31 + i / 4096);
  test::write_file(dir / "a.img", contents);
  const Mount mount(dir / "a.img", {"-oformat=raw"});
  ASSERT_TRUE(mount.mounted());
  EXPECT_TRUE(test::read_file(mount / "disk.raw") == contents);
}

}  // namespace
}  // namespace platter
