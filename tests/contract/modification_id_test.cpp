// What tells a child, or a cache of a disk, that the disk has changed: the id each image keeps of
// its contents changes with them, before them, and with nothing else.
#include <set>

#include <gtest/gtest.h>

#include "tests/contract/subject.h"
#include "tests/support/crash_file.h"

namespace platter::test {
namespace {

// Empty: the format keeps no such id.
std::string content_of(const Subject& subject, const FilePtr& file) {
  Epochs epochs;
  const auto image = subject.open(file, epochs, false);
  if (!image) return image.error().message();
  const ImageInfo& info = (*image)->info();
  const std::string uuid = info.modification_uuid ? info.modification_uuid->to_string() : "";
  return uuid + info.content_id;
}

// The subjects of the formats that have a place for it.
std::vector<Subject> keepers() {
  std::vector<Subject> list = subjects();
  std::erase_if(list, [](const Subject& s) {
    const std::string format = s.name.substr(0, s.name.find('_'));
    return format != "vdi" && format != "vhdx" && format != "vmdk";
  });
  return list;
}

// With each flush, for it goes along with what a flush writes anyway. Others, as their own
// specifications say, have one id a session.
bool changes_with_each_flush(const Subject& subject) { return subject.name.starts_with("vdi"); }

class ModificationId : public testing::TestWithParam<Subject> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(subject_.create(file_));
    ASSERT_TRUE(file_->sync());
    start_ = content_of(subject_, file_);
    ASSERT_NE(start_, "");
  }
  std::string now() const { return content_of(subject_, file_); }
  TestDisk open() const { return TestDisk(subject_, file_, parent_.below(subject_)); }

  const Subject& subject_ = GetParam();
  const TestParent parent_{subject_.disk_size};
  const std::shared_ptr<CrashFile> file_ = std::make_shared<CrashFile>();
  std::string start_;
};

TEST_P(ModificationId, StaysWhereNothingIsWritten) {
  {
    TestDisk disk = open();
    (void)disk.contents();
    ASSERT_TRUE(disk.writer().flush());
    ASSERT_TRUE(disk.writer().close());
  }
  EXPECT_EQ(now(), start_);
  (void)contents_of(subject_, file_, parent_.below(subject_));
  EXPECT_EQ(now(), start_);
}

TEST_P(ModificationId, IsAnotherOneOnDiskBeforeTheFirstByteIs) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<CrashFile>(static_cast<const File&>(*file_));
    TestDisk disk(subject_, file, parent_.below(subject_));
    ASSERT_TRUE(disk.write({512, 512}, std::byte{7}));
    EXPECT_NE(content_of(subject_, file->crash(random)), start_);
  }
}

TEST_P(ModificationId, IsAnotherOneAfterEachFlushOfSomethingOrEachSession) {
  std::set<std::string> seen{start_};
  TestDisk disk = open();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(disk.write({512, 512}, static_cast<std::byte>(7 + i)));
    ASSERT_TRUE(disk.writer().flush());
    seen.insert(now());
    const std::string flushed = now();
    ASSERT_TRUE(disk.writer().flush());
    EXPECT_EQ(now(), flushed) << "nothing was written before the second flush";
  }
  EXPECT_EQ(seen.size(), changes_with_each_flush(subject_) ? 3U : 2U);
}

TEST_P(ModificationId, StaysWhenTheImageSaysSomethingElseOfItself) {
  for (const auto& [key, value] : Metadata{{"comment", "of May"},
                                           {"geometry-lchs", "10/16/63"},
                                           {"geometry-pchs", "10/16/63"},
                                           {"uuid", "random"}}) {
    Epochs epochs;
    auto image = subject_.open(file_, epochs, true);
    ASSERT_TRUE(image) << image.error().message();
    (void)(*image)->set_metadata({{key, value}});
    image->reset();
    EXPECT_EQ(now(), start_) << key;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, ModificationId, testing::ValuesIn(keepers()),
                         [](const auto& test) { return test.param.name; });

TEST(ModificationIds, AreKeptByNoOtherFormat) {
  std::set<std::string> formats;
  for (const Subject& subject : subjects()) {
    const auto file = std::make_shared<CrashFile>();
    if (!subject.create(file) || content_of(subject, file).empty()) continue;
    formats.insert(subject.name.substr(0, subject.name.find('_')));
  }
  EXPECT_EQ(formats, (std::set<std::string>{"vdi", "vhdx", "vmdk"}));
}

}  // namespace
}  // namespace platter::test
