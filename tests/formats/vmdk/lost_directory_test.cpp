// Sparse extents one of whose two grain directories is not there: they are read, and left alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/image/epochs.h"
#include "tests/support/bytes.h"
#include "tests/support/vmdk_builder.h"

namespace platter::vmdk {
namespace {

using test::VmdkBuilder;
using testing::HasSubstr;

// What is written behind the end of the file would come to lie where the header says the directory
// is.
TEST(VmdkLostDirectory, IsReadButNeitherRepairedNorWritten) {
  const VmdkBuilder sound{.table = {32, 40}, .data = {0x10, 0x20}};
  std::vector<VmdkBuilder> damaged(4, sound);
  damaged[0].directory_at = 200;
  damaged[1].redundant_at = 200;
  damaged[2].redundant_at = 1;  // over the descriptor
  damaged[3].redundant_at = damaged[3].directory_at;
  for (const VmdkBuilder& builder : damaged) {
    std::vector<std::byte> bytes = sound.build();
    store(bytes, 48, le64(builder.redundant_at));
    store(bytes, 56, le64(builder.directory_at));
    const auto file = std::make_shared<MemoryFile>("x.vmdk", bytes);
    EXPECT_EQ(test::sectors_of(file)[0], 0x10);
    EXPECT_GT(test::check_vmdk(file).corruptions, 0U);
    Epochs epochs;
    EXPECT_FALSE(test::open_writable_vmdk(file, epochs));
    const auto image = test::open_writable_vmdk(file, epochs, {}, true);
    ASSERT_TRUE(image) << image.error().message();
    CheckReport report;
    const auto repaired = (*image)->check(Repair::all, report);
    ASSERT_FALSE(repaired);
    EXPECT_THAT(repaired.error().message(), HasSubstr("a grain directory is lost"));
    EXPECT_EQ(test::read_text(*file, 0, bytes.size()), test::text_of(bytes));
  }
}

}  // namespace
}  // namespace platter::vmdk
