// What an appliance says of its disks, and what a check of it finds.
#include "formats/ova/appliance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/image/registry.h"
#include "tests/support/bytes.h"
#include "tests/support/ova_builder.h"

namespace platter::ova {
namespace {

using test::OvaBuilder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::shared_ptr<MemoryFile> file_with(const std::string& text) {
  return std::make_shared<MemoryFile>("dir/x.ova", test::bytes_of(text));
}
Result<ArchivePtr> opened(const std::string& text) { return Appliance::open(file_with(text)); }

OvaBuilder two_disks() {
  return {.disks = {{.member = "a.img", .content = std::string(1024, 'a'), .capacity = 1024},
                    {.member = "b.img", .content = std::string(700, 'b'), .capacity = 2048}}};
}

// With some attributes for the file and the disk of an appliance of one.
Result<ArchivePtr> with_attributes(const std::string& file, const std::string& disk = "") {
  OvaBuilder ova{
      .disks = {
          {.member = "a.img", .content = "abc", .file_attributes = file, .disk_attributes = disk}}};
  return opened(ova.build());
}
std::string problem_of(const Result<ArchivePtr>& archive) {
  return archive ? (*archive)->disks().at(0).problem : "error: " + archive.error().message();
}

std::vector<std::string> found_in(const std::string& text) {
  const auto archive = opened(text);
  if (!archive) return {archive.error().message()};
  CheckReport report;
  const auto done = (*archive)->check(report);
  if (!done) return {"error: " + done.error().message()};
  EXPECT_EQ(report.corruptions, report.messages.size());
  return report.messages;
}

TEST(Appliance, ListsItsDisks) {
  const std::string text = two_disks().build();
  const auto archive = opened(text);
  ASSERT_TRUE(archive) << archive.error().message();
  const auto& disks = (*archive)->disks();
  ASSERT_EQ(disks.size(), 2u);
  EXPECT_EQ(disks[0].id, "disk1");
  EXPECT_EQ(disks[0].member, "a.img");
  EXPECT_EQ(disks[0].capacity, 1024u);
  EXPECT_THAT(disks[0].format, HasSubstr("streamOptimized"));
  EXPECT_EQ(disks[0].place, (Range{text.find(std::string(1024, 'a')), 1024}));
  EXPECT_EQ(disks[0].problem, "");
  EXPECT_EQ(disks[1].place.length, 700u);
  EXPECT_THAT((*archive)->systems(), ElementsAre("vm"));
  EXPECT_THAT((*archive)->warnings(), IsEmpty());
  const FilePtr file = (*archive)->open(disks[1]);
  EXPECT_EQ(file->name(), "dir/x.ova/b.img");
  EXPECT_EQ(test::read_text(*file, 0, 2000), std::string(700, 'b'));
  EXPECT_EQ(file->write(0, {}).error().code(), Errc::read_only);
}

TEST(Appliance, IsTheFormatOfItsFile) {
  const std::string text = two_disks().build();
  const auto probed = probe(*file_with(text));
  ASSERT_TRUE(probed) << probed.error().message();
  EXPECT_EQ(probed->format->name(), "ova");
  EXPECT_TRUE(probed->format->holds_images());
  // Another archive is none, but by its name.
  test::TarBuilder tar;
  tar.add("a.img", "x").add("vm.OVF", "<Envelope/>");
  EXPECT_EQ(probe(*tar.file())->format->name(), "ova");
  EXPECT_EQ(probe(MemoryFile("x.tar", test::bytes_of(tar.build())))->format->name(), "raw");
}

TEST(Appliance, OfNoEnvelopeIsNone) {
  test::TarBuilder tar;
  tar.add("a.img", "x");
  const auto none = opened(tar.build());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Errc::wrong_format);
}

TEST(Appliance, SaysWhyADiskCannotBeOpened) {
  EXPECT_EQ(problem_of(with_attributes("")), "");
  EXPECT_THAT(problem_of(with_attributes(" ovf:compression=\"gzip\"")),
              HasSubstr("is compressed (gzip)"));
  EXPECT_EQ(problem_of(with_attributes(" ovf:compression=\"identity\"")), "");
  EXPECT_THAT(problem_of(with_attributes(" ovf:chunkSize=\"7\"")), HasSubstr("is in chunks"));
  const auto with_disks = [](const std::string& disks) {
    OvaBuilder ova{.envelope =
                       "<Envelope><References><File id=\"f\" href=\"no.img\"/><File id=\"g\" "
                       "href=\"sub/a.img\"/></References><DiskSection>" +
                       disks + "</DiskSection></Envelope>"};
    return opened(ova.build());
  };
  EXPECT_EQ(problem_of(with_disks("<Disk diskId=\"d\" capacity=\"1\"/>")),
            "is blank: it has no file");
  EXPECT_EQ(problem_of(with_disks("<Disk diskId=\"d\" capacity=\"1\" fileRef=\"x\"/>")),
            "the envelope does not list its file");
  EXPECT_EQ(problem_of(with_disks("<Disk diskId=\"d\" capacity=\"1\" fileRef=\"f\"/>")),
            "its file \"no.img\" is not in the archive");
  EXPECT_THAT(problem_of(with_disks("<Disk diskId=\"d\" capacity=\"1\" fileRef=\"g\"/>")),
              HasSubstr("is not in the archive's directory"));
}

TEST(Appliance, LetsADiskNameOtherMembersAndNothingElse) {
  auto ova = two_disks();
  ova.disks[1].parent = "disk1";
  const auto archive = opened(ova.build());
  ASSERT_TRUE(archive) << archive.error().message();
  const auto& disks = (*archive)->disks();
  const auto first = (*archive)->resolver(disks[0]), second = (*archive)->resolver(disks[1]);
  const auto opens = [](const Resolver& resolver, std::string_view reference) {
    const auto file = resolver.open(reference);
    return file ? (*file)->name() : file.error().message();
  };
  EXPECT_EQ(opens(*first, "b.img"), "dir/x.ova/b.img");
  EXPECT_EQ(opens(*first, "../other/b.img"), "dir/x.ova/b.img");
  for (const char* outside : {"/etc/hostname", "", "x", "..", "b.img/"}) {
    EXPECT_THAT(opens(*first, outside), HasSubstr("the archive has no such member")) << outside;
  }
  // As the envelope says it, whatever the image calls it.
  EXPECT_EQ(opens(*second, "base-before-export.vmdk"), "dir/x.ova/a.img");
  EXPECT_EQ(first->open("b.img", Access::write).error().code(), Errc::denied);
  const auto of_second = first->for_file(*(*archive)->open(disks[1]));
  EXPECT_EQ(opens(*of_second, "anything"), "dir/x.ova/a.img");
  std::vector<std::string> candidates;
  const std::string_view extensions[] = {"img"};
  ASSERT_TRUE(first->candidates(extensions, [&](const Candidate& c) -> Result<bool> {
    candidates.push_back(c.name);
    return true;
  }));
  EXPECT_THAT(candidates, ElementsAre("a.img", "b.img"));
}

TEST(ApplianceCheck, FindsNothingWhereAllDigestsAreRight) {
  EXPECT_THAT(found_in(two_disks().build()), IsEmpty());
  auto without = two_disks();
  without.manifest = false;
  EXPECT_THAT(found_in(without.build()), IsEmpty());
}

TEST(ApplianceCheck, FindsAMemberOfAnotherDigest) {
  std::string text = two_disks().build();
  text[text.find("bbbb")] = 'c';
  EXPECT_THAT(found_in(text), ElementsAre("\"b.img\" has another sha256 than the manifest says"));
}

TEST(ApplianceCheck, FindsMembersThatAreMissingOrOfAnotherLength) {
  auto ova = two_disks();
  ova.manifest = false;
  std::string text = ova.build();
  text.replace(text.find("href=\"a.img\""), 12, "href=\"c.img\"");
  text.replace(text.find("size=\"700\""), 10, "size=\"701\"");
  EXPECT_THAT(found_in(text),
              ElementsAre("disk \"disk1\": its file \"c.img\" is not in the archive",
                          "envelope: \"b.img\" should have 701 bytes, not 700"));
}

std::vector<std::string> found_with_manifest(const std::string& manifest) {
  test::TarBuilder tar;
  tar.add("vm.ovf", "<Envelope/>").add("a b(1).img", "abc").add("vm.mf", manifest);
  return found_in(tar.build());
}

TEST(ApplianceCheck, ReadsManifestsAsTheyAreWritten) {
  constexpr const char* kSha1 = "a9993e364706816aba3e25717850c26c9cd0d89d";
  EXPECT_THAT(found_with_manifest(std::string("SHA1(a b(1).img)= ") + kSha1 + "\r\n\r\n"),
              IsEmpty());
  EXPECT_THAT(found_with_manifest(
                  std::string("SHA1 ( a b(1).img ) =A9993E364706816ABA3E25717850C26C9CD0D89D")),
              IsEmpty());
  EXPECT_THAT(
      found_with_manifest("SHA-256(a b(1).img)= "
                          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"),
      IsEmpty());
  EXPECT_THAT(found_with_manifest(std::string("SHA1(c.img)= ") + kSha1),
              ElementsAre("manifest: \"c.img\" is not in the archive"));
}

TEST(ApplianceCheck, FindsAMemberThatIsListedTwice) {
  const std::string line = "SHA1(a b(1).img)= a9993e364706816aba3e25717850c26c9cd0d89d\n";
  EXPECT_THAT(found_with_manifest(line + line),
              ElementsAre("manifest: \"a b(1).img\" is there twice"));
}

TEST(ApplianceCheck, RejectsAManifestThatIsNone) {
  for (const char* line : {"x", "SHA1(a", "SHA1)a(= 00", "SHA1(a) 00", "SHA1(a)= 00", "SHA1(a)= zz",
                           "SHA1(a)= a9993e364706816aba3e25717850c26c9cd0d89"}) {
    EXPECT_THAT(found_with_manifest(line), ElementsAre(HasSubstr("error: manifest: line 1: ")))
        << line;
  }
  EXPECT_THAT(found_with_manifest("MD9(a)= 00"), ElementsAre(HasSubstr("\"md9\" is not known")));
}

}  // namespace
}  // namespace platter::ova
