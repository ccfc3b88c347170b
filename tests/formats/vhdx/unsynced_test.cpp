// What another program has written last need not be durable yet when a change begins: a power cut
// may then take both back, and must still leave an image.
#include <gtest/gtest.h>

#include "formats/vhdx/headers.h"
#include "tests/formats/vhdx/vhdx_disk.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vhdx {
namespace {

using test::Call;
using test::CrashFile;
using test::VhdxBuilder;

// Done to a file that somebody else has just changed; every state that a power cut leaves opens.
void expect_always_an_image(const std::function<void(File&)>& others,
                            const std::function<Result<void>(const FilePtr&)>& ours,
                            const VhdxBuilder& builder) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    std::mt19937_64 random(seed);
    const auto memory = std::make_shared<CrashFile>(*builder.file());
    others(*memory);
    const auto file = std::make_shared<test::WrappedFile>(memory, [&](Call call) -> Result<void> {
      if (call != Call::sync) return {};
      for (int i = 0; i < 3; ++i) {
        const auto image = test::open_vhdx(memory->crash(random));
        EXPECT_TRUE(image) << image.error().message();
      }
      return {};
    });
    const Result<void> done = ours(file);
    EXPECT_TRUE(done) << done.error().message();
    if (testing::Test::HasFailure()) return;
  }
}

void replace_current_header(File& file) {
  Headers headers = *read_headers(file);
  Header next = headers.current;
  next.log = Uuid{};
  EXPECT_TRUE(write_header(file, headers, next));
}

// A log that was replayed and emptied.
VhdxBuilder with_a_log() {
  VhdxBuilder builder{.log_guid = Uuid::random()};
  builder.log.push_back({.pages = {{VhdxBuilder::kBat, std::vector<std::byte>(4096)}}});
  return builder;
}

Result<ImagePtr> open_it(const FilePtr& file, Epochs& epochs, bool info_only = false) {
  return test::open_writable_vhdx(file, epochs, info_only);
}

TEST(VhdxUnsynced, EmptyLogIsDurableBeforeItIsWrittenBySettingMetadata) {
  const auto set = [](const FilePtr& file) -> Result<void> {
    Epochs epochs;
    return TRY(open_it(file, epochs, true))->set_metadata({{"uuid", "random"}});
  };
  expect_always_an_image(replace_current_header, set, with_a_log());
}

TEST(VhdxUnsynced, EmptyLogIsDurableBeforeItIsWrittenByAResize) {
  const auto grow = [](const FilePtr& file) -> Result<void> {
    Epochs epochs;
    return TRY(open_it(file, epochs))->resize(5 * MiB);
  };
  expect_always_an_image(replace_current_header, grow, with_a_log());
}

}  // namespace
}  // namespace platter::vhdx
