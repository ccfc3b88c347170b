#include "lib/host/mount_table.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace platter {
namespace {

TEST(MountTable, ReadsALineWithOptionalFieldsAndEscapedBlanks) {
  const auto mounts = parse_mounts(
      "36 35 98:0 /root /my\\040disk\\134s rw,noatime master:1 shared:2 - ext3 /dev/root rw\n"
      "57 36 0:52 / /mnt ro,nosuid - fuse.platterfs /images/a\\011b.vdi ro,user_id=0\n");
  ASSERT_EQ(mounts.size(), 2U);
  EXPECT_EQ(mounts[0].point, "/my disk\\s");
  EXPECT_EQ(mounts[0].type, "ext3");
  EXPECT_EQ(mounts[1].point, "/mnt");
  EXPECT_EQ(mounts[1].type, "fuse.platterfs");
  EXPECT_EQ(mounts[1].source, "/images/a\tb.vdi");
  EXPECT_EQ(mounts[1].device, "0:52");
}

TEST(MountTable, LeavesOutLinesThatAreCut) {
  EXPECT_TRUE(
      parse_mounts("36 35 98:0 / /mnt rw\n\n- - - - - -\n57 36 0:52 / /mnt ro - fuse").empty());
}

TEST(MountTable, HasTheMountsOfThisProcess) {
  const auto mounts = read_mounts();
  ASSERT_TRUE(mounts);
  EXPECT_TRUE(std::ranges::any_of(*mounts, [](const HostMount& m) { return m.point == "/"; }));
}

}  // namespace
}  // namespace platter
