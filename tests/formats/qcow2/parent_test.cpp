// An image that loses its backing file.
#include <gtest/gtest.h>

#include "formats/qcow2/parse.h"
#include "lib/image/registry.h"
#include "tests/formats/qcow2/image_builder.h"

namespace platter::qcow2 {
namespace {

using test::ImageBuilder;

Result<void> drop_backing_of(const FilePtr& file) {
  Epochs epochs;
  const auto denied = deny_resolver("a test image is alone");
  const ImagePtr image = TRY(find_format("qcow2")->open({.file = file,
                                                         .resolver = *denied,
                                                         .tables = std::make_shared<PageCache>(MiB),
                                                         .info_only = true,
                                                         .writable = true,
                                                         .epochs = &epochs}));
  return image->drop_parent();
}

TEST(Qcow2DropParent, KeepsEverythingElseOfTheHeader) {
  for (const uint64_t at : {600, 400}) {
    for (const uint32_t version : {2u, 3u}) {
      ImageBuilder b(version, 11);
      b.extension(ExtensionType::backing_format, "raw");
      b.extension(0x12345678, 20, "an unknown extension");
      b.backing("a/" + std::string(400, 'b'), at);
      const FilePtr file = b.file();
      const auto old = parse_header(*file);
      ASSERT_TRUE(old);
      ASSERT_TRUE(drop_backing_of(file));
      const auto now = parse_header(*file);
      ASSERT_TRUE(now) << now.error().message();
      EXPECT_EQ(now->backing_file, "");
      EXPECT_EQ(now->backing_format, "");
      EXPECT_EQ(now->version, old->version);
      EXPECT_EQ(now->size, old->size);
      EXPECT_EQ(now->unknown_extensions, old->unknown_extensions);
      EXPECT_EQ(drop_backing_of(file).error().code(), Errc::unsupported);
    }
  }
}

}  // namespace
}  // namespace platter::qcow2
