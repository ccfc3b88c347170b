// The library as C sees it.
#include <platter.h>

#include <cstring>
#include <deque>
#include <filesystem>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lib/base/range.h"
#include "tests/support/bytes.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::pattern;
using test::TempDir;
using testing::HasSubstr;

constexpr uint64_t kDiskOfC = 4 * MiB;

using DiskPtr = std::unique_ptr<platter_disk, decltype(&platter_disk_free)>;
DiskPtr new_disk(int kind = PLATTER_HARD_DISK) {
  platter_disk* disk = nullptr;
  EXPECT_EQ(platter_disk_new(kind, &disk), PLATTER_OK);
  return {disk, &platter_disk_free};
}

class CApi : public testing::Test {
 protected:
  platter_new_image image(const std::string& name, const char* format) {
    names_.push_back(dir_ / name);
    return {.path = names_.back().c_str(), .format = format, .size = kDiskOfC};
  }
  TempDir dir_;
  std::deque<std::string> names_;
};

TEST_F(CApi, MakesChainsAndReadsWhatIsWritten) {
  const DiskPtr disk = new_disk();
  const platter_new_image base = image("a.vdi", "vdi");
  platter_new_image child = image("b.qcow2", "qcow2");
  child.size = 0;
  ASSERT_EQ(platter_create_base(disk.get(), &base), PLATTER_OK) << platter_last_error();
  const std::vector<std::byte> data = pattern(0, 100000, 1);
  ASSERT_EQ(platter_write(disk.get(), 5, data.data(), data.size()), PLATTER_OK);
  ASSERT_EQ(platter_create_child(disk.get(), &child), PLATTER_OK) << platter_last_error();
  EXPECT_EQ(platter_count(disk.get()), 2U);
  EXPECT_EQ(platter_size(disk.get()), kDiskOfC);
  EXPECT_EQ(platter_is_read_only(disk.get()), 0);
  ASSERT_EQ(platter_zero(disk.get(), 5, 10), PLATTER_OK);
  ASSERT_EQ(platter_snapshot_create(disk.get(), "s"), PLATTER_OK) << platter_last_error();
  ASSERT_EQ(platter_snapshot_rename(disk.get(), "s", "t"), PLATTER_OK);
  ASSERT_EQ(platter_write(disk.get(), 0, data.data(), 20), PLATTER_OK);
  ASSERT_EQ(platter_flush(disk.get()), PLATTER_OK);
  ASSERT_EQ(platter_snapshot_apply(disk.get(), "t"), PLATTER_OK);
  ASSERT_EQ(platter_snapshot_remove(disk.get(), "t"), PLATTER_OK);
  ASSERT_EQ(platter_close_all(disk.get()), PLATTER_OK);
  EXPECT_EQ(platter_count(disk.get()), 0U);

  ASSERT_EQ(platter_open_chain(disk.get(), child.path, nullptr, PLATTER_OPEN_READ_ONLY, nullptr),
            PLATTER_OK)
      << platter_last_error();
  EXPECT_EQ(platter_is_read_only(disk.get()), 1);
  std::vector<std::byte> seen(data.size());
  ASSERT_EQ(platter_read(disk.get(), 5, seen.data(), seen.size()), PLATTER_OK);
  std::vector<std::byte> wanted = data;
  std::fill_n(wanted.begin(), 10, std::byte{0});
  EXPECT_TRUE(seen == wanted);
}

TEST_F(CApi, OpensImagesOneByOneAndRemovesThem) {
  const DiskPtr disk = new_disk();
  const platter_new_image base = image("a.vdi", "vdi");
  const platter_new_image child = image("b.vdi", "vdi");
  ASSERT_EQ(platter_create_base(disk.get(), &base), PLATTER_OK);
  ASSERT_EQ(platter_create_child(disk.get(), &child), PLATTER_OK);
  ASSERT_EQ(platter_close_all(disk.get()), PLATTER_OK);
  ASSERT_EQ(platter_open(disk.get(), base.path, "vdi", 0, nullptr), PLATTER_OK);
  ASSERT_EQ(platter_open(disk.get(), child.path, nullptr, PLATTER_OPEN_DISCARD, nullptr),
            PLATTER_OK);
  EXPECT_EQ(platter_discard(disk.get(), 0, kDiskOfC), PLATTER_OK);
  EXPECT_EQ(platter_resize(disk.get(), 2 * kDiskOfC, 0), PLATTER_OK) << platter_last_error();
  EXPECT_EQ(platter_size(disk.get()), 2 * kDiskOfC);
  ASSERT_EQ(platter_close(disk.get(), 1), PLATTER_OK);
  EXPECT_FALSE(std::filesystem::exists(child.path));
  EXPECT_EQ(platter_set(disk.get(), 0, "comment", "hello"), PLATTER_OK);
  ASSERT_EQ(platter_close(disk.get(), 0), PLATTER_OK);
  char* json = nullptr;
  ASSERT_EQ(platter_info(base.path, nullptr, 1, &json), PLATTER_OK);
  EXPECT_EQ(nlohmann::json::parse(json)["comment"], "hello");
  platter_free(json);
}

TEST_F(CApi, CopiesAndCanBeStopped) {
  const DiskPtr disk = new_disk();
  const char* const words[] = {"comment=a copy", nullptr};
  const platter_new_image base = image("a.vdi", "vdi");
  platter_new_image copy = image("b.vdi", "vdi");
  copy.size = 0;
  copy.metadata = words;
  ASSERT_EQ(platter_create_base(disk.get(), &base), PLATTER_OK);
  const std::vector<std::byte> data = pattern(0, MiB, 1);
  ASSERT_EQ(platter_write(disk.get(), 0, data.data(), data.size()), PLATTER_OK);
  ASSERT_EQ(platter_close(disk.get(), 0), PLATTER_OK);
  const auto stop = [](void* user, uint64_t, uint64_t) { return ++*static_cast<int*>(user); };
  int calls = 0;
  EXPECT_EQ(platter_copy(base.path, nullptr, nullptr, &copy, stop, &calls), PLATTER_CANCELLED);
  EXPECT_GE(calls, 1);
  EXPECT_FALSE(std::filesystem::exists(copy.path));
  EXPECT_EQ(platter_copy(base.path, nullptr, nullptr, &copy, nullptr, nullptr), PLATTER_OK)
      << platter_last_error();
  char* json = nullptr;
  ASSERT_EQ(platter_info(copy.path, nullptr, 0, &json), PLATTER_OK);
  EXPECT_EQ(nlohmann::json::parse(json)["comment"], "a copy");
  platter_free(json);
}

TEST_F(CApi, EveryMistakeHasAStatusAndAMessage) {
  platter_disk* none = nullptr;
  EXPECT_EQ(platter_disk_new(0, &none), PLATTER_INVALID);
  EXPECT_EQ(platter_disk_new(4, &none), PLATTER_INVALID);
  EXPECT_EQ(platter_disk_new(PLATTER_DVD, nullptr), PLATTER_INVALID);
  EXPECT_EQ(none, nullptr);
  platter_disk_free(nullptr);
  platter_free(nullptr);
  EXPECT_EQ(platter_count(nullptr), 0U);
  EXPECT_EQ(platter_size(nullptr), 0U);
  EXPECT_EQ(platter_is_read_only(nullptr), 1);
  EXPECT_EQ(platter_flush(nullptr), PLATTER_INVALID);

  const DiskPtr disk = new_disk();
  const std::string missing = dir_ / "missing.vdi";
  EXPECT_EQ(platter_open(disk.get(), missing.c_str(), nullptr, 0, nullptr), PLATTER_NOT_FOUND);
  EXPECT_THAT(platter_last_error(), HasSubstr(missing));
  EXPECT_EQ(platter_open(disk.get(), nullptr, nullptr, 0, nullptr), PLATTER_INVALID);
  EXPECT_EQ(platter_open(disk.get(), missing.c_str(), nullptr, 0x100, nullptr), PLATTER_INVALID);
  EXPECT_THAT(platter_last_error(), HasSubstr("flag"));
  EXPECT_EQ(platter_create_base(disk.get(), nullptr), PLATTER_INVALID);
  platter_new_image image = this->image("x.vdi", "vdi");
  const char* const wrong[] = {"no value", nullptr};
  image.options = wrong;
  EXPECT_EQ(platter_create_base(disk.get(), &image), PLATTER_INVALID);
  EXPECT_THAT(platter_last_error(), HasSubstr("no value"));
  image.options = nullptr;
  ASSERT_EQ(platter_create_base(disk.get(), &image), PLATTER_OK);
  EXPECT_EQ(platter_read(disk.get(), 0, nullptr, 1), PLATTER_INVALID);
  char byte = 0;
  EXPECT_EQ(platter_read(disk.get(), kDiskOfC, &byte, 1), PLATTER_OUT_OF_RANGE);
  EXPECT_EQ(platter_write(disk.get(), UINT64_MAX, &byte, 1), PLATTER_OUT_OF_RANGE);
  EXPECT_EQ(platter_set(disk.get(), 7, "comment", "x"), PLATTER_INVALID);
  EXPECT_EQ(platter_snapshot_create(disk.get(), "s"), PLATTER_UNSUPPORTED);
  EXPECT_EQ(platter_info(image.path, nullptr, 0, nullptr), PLATTER_INVALID);
  EXPECT_STREQ(platter_version(), PLATTER_VERSION);
}

}  // namespace
}  // namespace platter
