// A parent that is known by names, by ids, or by both.
#include "lib/container/parent_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/image/registry.h"
#include "tests/support/vdi_builder.h"

namespace platter {
namespace {

using test::VdiBuilder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Uuid numbered(unsigned n) {
  Uuid uuid;
  uuid.bytes[0] = std::byte{1};
  uuid.bytes[15] = static_cast<std::byte>(n);
  return uuid;
}

FilePtr image(const std::string& name, unsigned id, unsigned content) {
  return VdiBuilder{
      .map = {VdiBuilder::kFree}, .uuid = numbered(id), .modification_uuid = numbered(content)}
      .file(name);
}

ParentLink link_to(unsigned id, unsigned content, std::vector<std::string> names) {
  ParentLink link{.format = "vdi", .uuid = numbered(id), .modification_uuid = numbered(content)};
  if (names.empty()) return link;
  link.reference = names.front();
  link.other_references.assign(names.begin() + 1, names.end());
  return link;
}

class ParentSearch : public testing::Test {
 protected:
  void put(const std::string& name, unsigned id, unsigned content) {
    files_[name] = image(name, id, content);
  }
  Result<FoundParent> find(const ParentLink& link) const {
    return find_parent(link, *find_format("vdi"), *map_resolver(files_));
  }
  std::string found(const ParentLink& link) const {
    const auto parent = find(link);
    return parent ? parent->file->name() : parent.error().message();
  }
  std::map<std::string, FilePtr> files_;
};

TEST_F(ParentSearch, TakesTheFirstFileThatIsThereAndHasTheIds) {
  put("another.vdi", 7, 8);
  put("right.vdi", 1, 2);
  put("right-as-well.vdi", 1, 2);
  EXPECT_EQ(found(link_to(1, 2, {"gone.vdi", "another.vdi", "right.vdi", "right-as-well.vdi"})),
            "right.vdi");
}

TEST_F(ParentSearch, FindsAFileThatWasRenamedByItsIds) {
  put("another.vdi", 7, 8);
  put("renamed.vdi", 1, 2);
  EXPECT_EQ(found(link_to(1, 2, {"gone.vdi"})), "renamed.vdi");
  EXPECT_EQ(found(link_to(1, 2, {"another.vdi"})), "renamed.vdi");
}

TEST_F(ParentSearch, KnowsAParentByWhatItHasInItWhereThatIsAll) {
  put("a-child-of-it.vdi", 1, 5);
  put("parent.vdi", 1, 2);
  ParentLink link = link_to(1, 2, {"gone.vdi"});
  link.uuid.reset();
  EXPECT_EQ(found(link), "parent.vdi");
  files_.erase("parent.vdi");
  EXPECT_EQ(found(link), "its parent \"gone.vdi\" is missing");
}

TEST_F(ParentSearch, TellsOneThatWasChangedFromAnotherDiskAndFromNone) {
  put("other.vdi", 7, 8);
  put("changed.vdi", 1, 3);
  const auto changed = find(link_to(1, 2, {"gone.vdi", "changed.vdi"}));
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code(), Errc::corrupt);
  EXPECT_THAT(changed.error().message(), HasSubstr("was changed after this image was made"));
  files_.erase("changed.vdi");
  const auto other = find(link_to(1, 2, {"other.vdi"}));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Errc::corrupt);
  EXPECT_THAT(other.error().message(), HasSubstr("and other.vdi is another one"));
  const auto missing = find(link_to(1, 2, {"gone.vdi"}));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Errc::not_found);
  EXPECT_EQ(missing.error().message(), "its parent \"gone.vdi\" is missing");
}

TEST_F(ParentSearch, SaysWhatWouldAllowANameThatIsRefused) {
  const auto denied = deny_resolver("references=any would allow it");
  const auto parent = find_parent(link_to(1, 2, {"../x.vdi"}), *find_format("vdi"), *denied);
  ASSERT_FALSE(parent);
  EXPECT_EQ(parent.error().code(), Errc::denied);
  EXPECT_THAT(parent.error().message(), HasSubstr("references=any"));
}

TEST_F(ParentSearch, WarnsOfAFileWhoseTimeIsNotWhatItWas) {
  put("parent.vdi", 1, 2);
  const int64_t now = files_["parent.vdi"]->stat()->mtime_ns / 1'000'000'000;
  ParentLink link = link_to(1, 2, {"parent.vdi"});
  link.mtime_s = now + 2;
  EXPECT_THAT(find(link)->warnings, IsEmpty());
  link.mtime_s = now + 3;
  EXPECT_THAT(find(link)->warnings, ElementsAre(HasSubstr("was changed")));
}

TEST_F(ParentSearch, LeavesToTheOpenerWhatIsNoImageOfThatFormat) {
  files_["parent.vdi"] = std::make_shared<MemoryFile>("parent.vdi");
  EXPECT_EQ(found(link_to(1, 2, {"parent.vdi"})), "parent.vdi");
}

}  // namespace
}  // namespace platter
