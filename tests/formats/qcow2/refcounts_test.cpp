#include "formats/qcow2/refcounts.h"

#include <gtest/gtest.h>

#include "lib/image/format.h"
#include "lib/image/registry.h"
#include "lib/io/memory_file.h"

namespace platter::qcow2 {
namespace {

struct Counted {
  explicit Counted(const char* bits) : file(std::make_shared<MemoryFile>("image")) {
    const Options options{{"cluster_size", "512"}, {"refcount_bits", bits}};
    auto writer = find_format("qcow2")->create(
        CreateRequest{.file = file, .size = 64 * KiB, .options = options});
    EXPECT_TRUE(writer && (*writer)->finish());
    header = *parse_header(*file);
    refcounts.emplace(file, header, std::make_shared<PageCache>(64 * KiB));
  }
  void write_back() {
    const auto pages = refcounts->blocks().take_dirty();
    ASSERT_TRUE(refcounts->blocks().write(pages));
    refcounts->blocks().written(pages);
  }

  std::shared_ptr<MemoryFile> file;
  Header header;
  std::optional<Refcounts> refcounts;
};

class RefcountsOf : public testing::TestWithParam<const char*> {};

TEST_P(RefcountsOf, AllBitsAreKeptApart) {
  Counted counted(GetParam());
  Refcounts& refcounts = *counted.refcounts;
  const uint64_t most = refcounts.max();
  std::vector<uint64_t> wanted;
  for (uint64_t c = 0; c < 60; ++c) {
    const uint64_t value =
        c % 3 == 0 ? most : (c * 7919) % (most == ~uint64_t{0} ? most : most + 1);
    wanted.push_back(value);
    ASSERT_TRUE(refcounts.set(c, value));
  }
  for (uint64_t c = 0; c < 60; ++c) EXPECT_EQ(*refcounts.get(c), wanted[c]) << c;
  counted.write_back();
  const Refcounts again(counted.file, counted.header, std::make_shared<PageCache>(64 * KiB));
  for (uint64_t c = 0; c < 60; ++c) EXPECT_EQ(*again.get(c), wanted[c]) << c;
}

TEST_P(RefcountsOf, AFreeClusterIsFoundBehindUsedOnes) {
  Counted counted(GetParam());
  Refcounts& refcounts = *counted.refcounts;
  for (uint64_t c = 0; c < 64; ++c) ASSERT_TRUE(refcounts.set(c, c == 41 ? 0 : 1));
  const auto found = refcounts.find_free(0, 64, 100);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->found);
  EXPECT_EQ(found->cluster, 41U);
  const auto none = refcounts.find_free(42, 64, 100);
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->found);
  EXPECT_EQ(none->cluster, 64U);
}

INSTANTIATE_TEST_SUITE_P(Bits, RefcountsOf, testing::Values("1", "2", "4", "8", "16", "32", "64"),
                         [](const auto& test) { return std::string("Width") + test.param; });

TEST(Refcounts, ClustersWithoutABlockAreFreeAndNotCounted) {
  Counted counted("64");
  const uint64_t far = counted.refcounts->per_block() * 5;
  EXPECT_EQ(*counted.refcounts->get(far), 0U);
  EXPECT_FALSE(*counted.refcounts->counted(far));
  EXPECT_TRUE(counted.refcounts->find_free(far, far + 9, 1)->found);
  EXPECT_FALSE(counted.refcounts->set(far, 1));
  EXPECT_EQ(*counted.refcounts->get(counted.refcounts->covered() + 3), 0U);
}

TEST(Refcounts, ASearchStopsAfterItsPages) {
  Counted counted("64");  // 64 counts in a block
  Refcounts& refcounts = *counted.refcounts;
  for (uint64_t c = 0; c < 64; ++c) ASSERT_TRUE(refcounts.set(c, 1));
  ASSERT_TRUE(refcounts.add_block(64, 63 * 512));
  for (uint64_t c = 64; c < 128; ++c) ASSERT_TRUE(refcounts.set(c, 1));
  const auto found = refcounts.find_free(0, 200, 1);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->found);
  EXPECT_EQ(found->cluster, 64U);
  EXPECT_EQ(refcounts.find_free(found->cluster, 200, 2)->cluster, 128U);
}

}  // namespace
}  // namespace platter::qcow2
