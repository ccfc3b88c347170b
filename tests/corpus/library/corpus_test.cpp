// Every real image of the corpus decodes to its digest, or is refused as its manifest says.
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lib/base/text.h"
#include "lib/container/container.h"
#include "tests/support/disk_digest.h"
#include "tests/support/manifest.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::CorpusImage;
using test::TempDir;

// The path to open: the image's own, or that of its unpacked copy in dir.
std::string unpacked(const CorpusImage& image, const TempDir& dir) {
  if (image.stored == "plain") return image.path;
  const std::string copy = dir / std::filesystem::path(image.path).stem();
  const std::string program = image.stored == "gz" ? "gzip" : "bzip2";
  const std::string line = fmt::format("{} -dc '{}' > '{}'", program, image.path, copy);
  EXPECT_EQ(std::system(line.c_str()), 0) << line;
  return copy;
}

class Corpus : public ::testing::TestWithParam<CorpusImage> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Corpus);

TEST_P(Corpus, IsReadOrRefusedAsTheManifestSays) {
  const CorpusImage& image = GetParam();
  const std::string before = test::fingerprint(image);
  const TempDir dir;
  const auto container = Container::open(unpacked(image, dir));
  if (image.expect != "open") {
    ASSERT_FALSE(container) << "must be refused: " << image.expect;
    const std::string line = printable(container.error().message());
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    EXPECT_NE(line.find(std::filesystem::path(image.path).parent_path().filename().string()),
              std::string::npos)
        << line;
  } else {
    ASSERT_TRUE(container) << container.error().message();
    const View& view = *(*container)->live();
    EXPECT_EQ((*container)->info().format, image.format);
    EXPECT_EQ(std::to_string(view.size()), image.size);
    const auto digest = image.digest.starts_with("nz64k:") ? test::sparse_digest_of_disk(view)
                                                           : test::sha256_of_disk(view);
    ASSERT_TRUE(digest) << digest.error().message();
    EXPECT_EQ(*digest, image.digest);
  }
  EXPECT_EQ(test::fingerprint(image), before);
}

INSTANTIATE_TEST_SUITE_P(Images, Corpus, ::testing::ValuesIn(test::corpus_images()),
                         [](const auto& param) { return test::test_name_of(param.param); });

TEST(CorpusOfRealImages, IsThere) {
  if (test::corpus_images().empty()) {
    GTEST_SKIP() << "there is no corpus: set PLATTER_CORPUS, or put it at ../shared/corpus";
  }
}

}  // namespace
}  // namespace platter
