// What info and check say of a cache image.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "tests/support/bytes.h"
#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using testing::HasSubstr;

class CacheImageCommands : public testing::Test {
 protected:
  void SetUp() override {
    test::write_file(dir_ / "d.img", test::text_of(test::noise(1 << 20, 1)));
    use([](const Container& container) {
      std::vector<std::byte> out(200'000);
      for (int i = 0; i < 2; ++i) EXPECT_TRUE(container.live()->read(0, out));
    });
  }
  template <class Use>
  void use(Use&& use) {
    const auto container = Container::open(
        dir_ / "d.img", {.format = "raw",
                         .lock = true,
                         .cache_file = *(opened_++ == 0 ? PosixFile::create(path_)
                                                        : PosixFile::open(path_, Access::write)),
                         .cache_size = kMinCacheSize});
    ASSERT_TRUE(container) << container.error().message();
    use(**container);
  }
  int opened_ = 0;
  const test::TempDir dir_;
  const std::string path_ = dir_ / "d.vci";
};

TEST_F(CacheImageCommands, InfoTellsItsNumbers) {
  const auto info = cli({"info", "--json", path_}).json();
  EXPECT_EQ(info.at("format"), "vci");
  EXPECT_EQ(info.at("size"), kMinCacheSize);
  EXPECT_EQ(info.at("disk_size"), 1 << 20);
  EXPECT_EQ(info.at("clean"), true);
  EXPECT_EQ(info.at("damage"), "");
  EXPECT_EQ(info.at("lines"), 13);
  EXPECT_EQ(info.at("data_bytes"), 49 * 4096);
  EXPECT_EQ(info.at("hit_bytes"), info.at("miss_bytes"));
  EXPECT_EQ(info.at("free_bytes").get<uint64_t>() + info.at("table_bytes").get<uint64_t>(),
            kMinCacheSize - 13 * kCacheLine);
  const auto said = cli({"info", path_});
  EXPECT_THAT(said.out, HasSubstr("vci, a cache image"));
  EXPECT_THAT(said.out, HasSubstr("hit rate:         50.0 %\n"));
}

TEST_F(CacheImageCommands, CheckFindsADamagedPiece) {
  EXPECT_EQ(cli({"check", path_}).status, 0);
  std::string bytes = test::read_file(path_);
  bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 1);
  test::write_file(path_, bytes);
  const auto said = cli({"check", path_});
  EXPECT_EQ(said.status, 2);
  EXPECT_THAT(said.out, HasSubstr("has a wrong checksum"));
  bytes[30] = static_cast<char>(bytes[30] ^ 1);
  test::write_file(path_, bytes);
  EXPECT_THAT(cli({"check", path_}).out, HasSubstr("header: wrong checksum"));
  EXPECT_EQ(cli({"check", "--repair=all", path_}).status, 63);
}

TEST_F(CacheImageCommands, CheckSaysThatItIsInUseOrWasNotClosed) {
  use([this](const Container&) {
    const auto said = cli({"check", path_});
    EXPECT_EQ(said.status, 1);
    EXPECT_THAT(said.err, HasSubstr("is open for writing in another process"));
    EXPECT_EQ(cli({"info", "--json", path_}).json().at("clean"), false);
    test::write_file(dir_ / "copy.vci", test::read_file(path_));
  });
  const auto said = cli({"check", dir_ / "copy.vci"});
  EXPECT_EQ(said.status, 0);
  EXPECT_THAT(said.out, HasSubstr("nothing in it counts"));
}

TEST_F(CacheImageCommands, OthersDoNotTakeItForADisk) {
  const auto said = cli({"convert", "-O", "raw", path_, dir_ / "out.raw"});
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.err, HasSubstr("a cache image (VCI), which is no disk"));
  EXPECT_EQ(cli({"info", "-f", "raw", "--json", path_}).json().at("format"), "raw");
}

}  // namespace
}  // namespace platter
