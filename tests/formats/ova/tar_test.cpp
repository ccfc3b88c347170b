#include "formats/ova/tar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/bytes.h"
#include "tests/support/ova_builder.h"

namespace platter::ova {
namespace {

using test::pax_record;
using test::TarBuilder;
using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<MemoryFile> file_of(std::string_view text) {
  return std::make_shared<MemoryFile>("test.tar", test::bytes_of(text));
}

// "name=content" of each; or the error.
std::vector<std::string> members_of(const MemoryFile& file) {
  const auto members = read_tar(file);
  if (!members) return {"error: " + members.error().message()};
  std::vector<std::string> out;
  for (const TarMember& member : *members) {
    out.push_back(member.name + "=" +
                  test::read_text(file, member.data.offset, member.data.length));
  }
  return out;
}
std::vector<std::string> members_of(const TarBuilder& tar) { return members_of(*tar.file()); }

std::string tar_refusal(const TarBuilder& tar, Errc expected = Errc::corrupt) {
  const auto members = read_tar(*tar.file());
  if (members) return {};
  EXPECT_EQ(members.error().code(), expected) << members.error().message();
  return members.error().message();
}

TEST(Tar, ReadsMembersOfPosixAndOfGnu) {
  TarBuilder tar;
  tar.add("a.ovf", "abc").add("empty", "").add("whole", std::string(512, 'x'));
  tar.add({.name = "gnu", .content = "in base 256", .gnu = true});
  tar.add({.name = "old", .content = "no type", .type = '\0'});
  tar.add({.name = "name", .content = "in two parts", .prefix = "some/where"});
  EXPECT_THAT(members_of(tar),
              ElementsAre("a.ovf=abc", "empty=", "whole=" + std::string(512, 'x'),
                          "gnu=in base 256", "old=no type", "some/where/name=in two parts"));
  EXPECT_EQ(first_member(test::bytes_of(tar.build())), "a.ovf");
}

TEST(Tar, TakesLongNamesAndSizesFromTheHeadersBefore) {
  const std::string name(300, 'n');
  TarBuilder tar;
  tar.add(
      {.name = "././@LongLink", .content = name + std::string(1, '\0'), .type = 'L', .gnu = true});
  tar.add({.name = name, .content = "1", .gnu = true});
  tar.add({.name = "PaxHeaders/x",
           .content = pax_record("mtime", "1") + pax_record("path", "p"),
           .type = 'x'});
  tar.add("cut", "2");
  tar.add({.name = "x", .content = pax_record("size", "3"), .type = 'x'});
  tar.add({.name = "three", .content = "333", .fields = {{124, "00000000000"}}});
  tar.add({.name = "g", .content = pax_record("comment", "all"), .type = 'g'});
  tar.add("plain", "4");
  EXPECT_THAT(members_of(tar), ElementsAre(name + "=1", "p=2", "three=333", "plain=4"));
  EXPECT_EQ(first_member(test::bytes_of(tar.build())), name);
}

TEST(Tar, LeavesDirectoriesOut) {
  TarBuilder tar;
  tar.add({.name = "./", .type = '5'}).add("./a", "x").add({.name = "b/", .type = '5'});
  EXPECT_THAT(members_of(tar), ElementsAre("a=x"));
}

TEST(Tar, PutsUpWithAMissingEnd) {
  TarBuilder tar;
  tar.add("a", "x");
  EXPECT_THAT(members_of(*file_of(tar.build(false))), ElementsAre("a=x"));
  EXPECT_THAT(members_of(*file_of(tar.build(false) + std::string(100, '\0'))), ElementsAre("a=x"));
  // The last block need not be filled up.
  EXPECT_THAT(members_of(*file_of(tar.build(false).substr(0, 513))), ElementsAre("a=x"));
}

TEST(Tar, OfNothingOrOfSomethingElseIsNone) {
  EXPECT_THAT(members_of(*file_of("")), ElementsAre());
  const auto other = read_tar(*file_of(std::string(2000, 'x')));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Errc::wrong_format);
  EXPECT_EQ(first_member(test::bytes_of(std::string(2000, 'x'))), "");
  EXPECT_EQ(first_member({}), "");
}

TEST(Tar, RejectsAMemberPastTheEndOfTheFile) {
  TarBuilder tar;
  tar.add("a", "x").add({.name = "b", .content = "y", .fields = {{124, "00000002001"}}});
  EXPECT_THAT(members_of(*file_of(tar.build(false))),
              ElementsAre("error: tar: entry 2 (at 1024): lies past the end of the file"));
  for (const std::string& size :
       {std::string("77777777777"), "\x80" + std::string(3, '\0') + "\x7f" + std::string(7, '\xff'),
        std::string(12, '\xff'), "\x80" + std::string(11, '\xff'), std::string("0000000008x")}) {
    TarBuilder large;
    large.add({.name = "a", .content = "x", .fields = {{124, size}}});
    EXPECT_THAT(tar_refusal(large), HasSubstr("lies past the end of the file"));
  }
}

TEST(Tar, RejectsADamagedHeader) {
  TarBuilder tar;
  tar.add("a", "x").add({.name = "b", .content = "y", .afterwards = {{0, "c"}}});
  EXPECT_THAT(tar_refusal(tar), HasSubstr("entry 1 (at 1024): its header is damaged"));
  TarBuilder first;
  first.add({.name = "b", .content = "y", .afterwards = {{0, "c"}}});
  EXPECT_EQ(tar_refusal(first, Errc::wrong_format), "tar: has no header");
  EXPECT_EQ(first_member(test::bytes_of(first.build())), "");
}

TEST(Tar, RejectsLinksAndDevices) {
  for (const char type : {'1', '2', '3', '4', '6', 'K', 'Z'}) {
    TarBuilder tar;
    tar.add({.name = "a", .type = type});
    EXPECT_THAT(tar_refusal(tar), HasSubstr("\"a\" is no file")) << type;
  }
}

TEST(Tar, RejectsNamesThatLeadOutOfIt) {
  for (const char* name : {"/a", "..", "../a", "a/../b", "a/..", "./../a"}) {
    TarBuilder tar;
    tar.add(name, "x");
    EXPECT_THAT(tar_refusal(tar), HasSubstr("leads out of the archive")) << name;
    TarBuilder pax;
    pax.add({.name = "x", .content = pax_record("path", name), .type = 'x'}).add("a", "x");
    EXPECT_THAT(tar_refusal(pax), HasSubstr("leads out of the archive")) << name;
  }
  TarBuilder harmless;
  harmless.add("..a", "x").add("a..", "y").add("b/..c", "z");
  EXPECT_EQ(members_of(harmless).size(), 3u);
}

TEST(Tar, RejectsANameThatIsThereTwice) {
  TarBuilder tar;
  tar.add("a", "x").add("./a", "y");
  EXPECT_THAT(tar_refusal(tar), HasSubstr("\"a\" is there twice"));
}

TEST(Tar, RejectsSparseMembers) {
  TarBuilder old;
  old.add({.name = "a", .type = 'S', .gnu = true});
  EXPECT_THAT(tar_refusal(old, Errc::unsupported), HasSubstr("sparse"));
  TarBuilder pax;
  pax.add({.name = "x", .content = pax_record("GNU.sparse.major", "1"), .type = 'x'}).add("a", "x");
  EXPECT_THAT(tar_refusal(pax, Errc::unsupported), HasSubstr("sparse"));
}

TEST(Tar, RejectsDamagedRecords) {
  for (const std::string records :
       {"x", "5", "5 a=b\n", "100 a=b\n", "0 a=b\n", "6 a=b", "6 ab\n", "-6 a=b\n",
        "99999999999999999999 a=b\n", "10 size=x\n", "11 size=-1\n"}) {
    TarBuilder tar;
    tar.add({.name = "x", .content = records, .type = 'x'}).add("a", "x");
    EXPECT_THAT(tar_refusal(tar), HasSubstr("its pax records are damaged")) << records;
  }
}

TEST(Tar, RejectsNamesAndRecordsThatAreTooLong) {
  TarBuilder name;
  name.add({.name = "x", .content = std::string(2000, 'n'), .type = 'L'}).add("a", "x");
  EXPECT_THAT(tar_refusal(name), HasSubstr("is too long"));
  TarBuilder records;
  records.add({.name = "x", .content = std::string(70000, 'n'), .type = 'x'}).add("a", "x");
  EXPECT_THAT(tar_refusal(records), HasSubstr("is too long"));
  TarBuilder path;
  path.add({.name = "x", .content = pax_record("path", std::string(2000, 'n')), .type = 'x'})
      .add("a", "x");
  EXPECT_THAT(tar_refusal(path), HasSubstr("its name is too long"));
}

TEST(Tar, RejectsMoreThanTenThousandMembers) {
  TarBuilder tar;
  for (int i = 0; i < 10000; ++i) tar.add(std::to_string(i), "");
  EXPECT_EQ(tar_refusal(tar), "");
  tar.add("one more", "");
  EXPECT_THAT(tar_refusal(tar), HasSubstr("more than 10000 members"));
}

}  // namespace
}  // namespace platter::ova
