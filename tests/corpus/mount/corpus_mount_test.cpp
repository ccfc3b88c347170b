// The corpus once more, through a real mount: what open() and read() of disk.raw give.
#include <filesystem>

#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "tests/support/disk_digest.h"
#include "tests/support/manifest.h"
#include "tests/support/mount.h"

namespace platter {
namespace {

using test::CorpusImage;
using test::TempDir;

// Packed ones are read through the library only.
std::vector<CorpusImage> plain_images() {
  std::vector<CorpusImage> images = test::corpus_images();
  std::erase_if(images, [](const CorpusImage& image) { return image.stored != "plain"; });
  return images;
}

class CorpusMount : public ::testing::TestWithParam<CorpusImage> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CorpusMount);

void expect_digest(const CorpusImage& image) {
  const auto container = Container::open(image.path);
  ASSERT_TRUE(container) << container.error().message();
  test::Mount mount(image.path);
  ASSERT_TRUE(mount.mounted());
  for (const ChainLayer& layer : (*container)->chain()) {
    if (!layer.image->info().warnings.empty()) mount.expect_messages();
  }
  const std::string disk = mount / "disk.raw";
  EXPECT_EQ(std::to_string(std::filesystem::file_size(disk)), image.size);
  EXPECT_EQ(image.digest.starts_with("nz64k:") ? test::sparse_digest_of_disk_file(disk)
                                               : test::sha256_of_disk_file(disk),
            image.digest);
}

void expect_refusal(const CorpusImage& image) {
  const TempDir dir;
  const std::string mountpoint = dir / "mnt";
  std::filesystem::create_directory(mountpoint);
  const test::Outcome outcome = test::run({test::program("platterfs"), image.path, mountpoint});
  EXPECT_NE(outcome.status, 0);
  EXPECT_NE(outcome.status, 137) << "did not end";
  EXPECT_TRUE(outcome.err.starts_with("platterfs: ")) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  EXPECT_TRUE(outcome.out.empty()) << outcome.out;
  EXPECT_TRUE(test::mount_entry(mountpoint).type.empty());
}

TEST_P(CorpusMount, IsShownOrRefusedAsTheManifestSays) {
  const CorpusImage& image = GetParam();

  const std::string before = test::fingerprint(image);
  if (image.expect == "open") {
    expect_digest(image);
  } else {
    expect_refusal(image);
  }
  EXPECT_EQ(test::fingerprint(image), before);
}

INSTANTIATE_TEST_SUITE_P(Images, CorpusMount, ::testing::ValuesIn(plain_images()),
                         [](const auto& param) { return test::test_name_of(param.param); });

}  // namespace
}  // namespace platter
