#include "formats/ova/envelope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/range.h"

namespace platter::ova {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Result<Envelope> envelope_of(const std::string& body) {
  const std::string text =
      "<?xml version=\"1.0\"?><ovf:Envelope xmlns:ovf=\"x\">" + body + "</ovf:Envelope>";
  return parse_envelope({text.begin(), text.end()});
}
Result<Envelope> with_disk(const std::string& attributes) {
  return envelope_of("<ovf:DiskSection><ovf:Disk ovf:diskId=\"d\" " + attributes +
                     "/></ovf:DiskSection>");
}
std::string envelope_refusal(const std::string& body) {
  const auto envelope = envelope_of(body);
  if (envelope) return {};
  EXPECT_EQ(envelope.error().code(), Errc::corrupt);
  return envelope.error().message();
}

TEST(Envelope, ListsFilesDisksAndSystems) {
  const auto e = envelope_of(
      "<ovf:References><ovf:File ovf:id=\"f1\" ovf:href=\"./a.vmdk\" ovf:size=\"12\"/>"
      "<ovf:File ovf:id=\"f2\" ovf:href=\"b.iso\" ovf:compression=\"gzip\" "
      "ovf:chunkSize=\"5\"/></ovf:References>"
      "<ovf:DiskSection><ovf:Info/><ovf:Disk ovf:diskId=\"d1\" ovf:fileRef=\"f1\" "
      "ovf:capacity=\"7\" "
      "ovf:capacityAllocationUnits=\"byte * 2^30\" ovf:format=\"http://x#y\"/>"
      "<ovf:Disk ovf:diskId=\"d2\" ovf:capacity=\"512\" ovf:parentRef=\"d1\"/></ovf:DiskSection>"
      "<ovf:VirtualSystemCollection><ovf:VirtualSystem ovf:id=\"one\"/><ovf:VirtualSystem "
      "ovf:id=\"two\"/>"
      "</ovf:VirtualSystemCollection>");
  ASSERT_TRUE(e) << e.error().message();
  ASSERT_EQ(e->files.size(), 2u);
  EXPECT_EQ(e->files[0].href, "a.vmdk");
  EXPECT_EQ(e->files[0].size, 12u);
  EXPECT_FALSE(e->files[0].chunked);
  EXPECT_EQ(e->files[1].compression, "gzip");
  EXPECT_TRUE(e->files[1].chunked);
  ASSERT_EQ(e->disks.size(), 2u);
  EXPECT_EQ(e->disks[0].capacity, 7 * GiB);
  EXPECT_EQ(e->disks[0].file, "f1");
  EXPECT_EQ(e->disks[0].format, "http://x#y");
  EXPECT_EQ(e->disks[1].capacity, 512u);
  EXPECT_EQ(e->disks[1].file, "");
  EXPECT_EQ(e->disks[1].parent, "d1");
  EXPECT_THAT(e->systems, ElementsAre("one", "two"));
  EXPECT_THAT(e->warnings, IsEmpty());
}

TEST(Envelope, IsReadWithAnyPrefixAndOfTheFirstVersion) {
  const std::string text =
      "<Envelope xmlns=\"x\"><References><File id=\"f\" href=\"a\"/></References>"
      "<Section xsi:type=\"ovf:DiskSection_Type\"><Disk diskId=\"d\" fileRef=\"f\" capacity=\"2\" "
      "capacityAllocationUnits=\"MegaBytes\"/></Section><Section "
      "xsi:type=\"ovf:NetworkSection_Type\">"
      "<Disk diskId=\"no\"/></Section><Content ovf:id=\"vm\"/></Envelope>";
  const auto e = parse_envelope({text.begin(), text.end()});
  ASSERT_TRUE(e) << e.error().message();
  ASSERT_EQ(e->disks.size(), 1u);
  EXPECT_EQ(e->disks[0].capacity, 2 * MiB);
  EXPECT_EQ(e->files[0].id, "f");
  EXPECT_THAT(e->systems, ElementsAre("vm"));
}

TEST(Envelope, KnowsTheUnitsOfCapacities) {
  const std::pair<const char*, uint64_t> units[] = {{"", 3},
                                                    {"byte", 3},
                                                    {"byte * 2^10", 3 * KiB},
                                                    {"byte*2^20", 3 * MiB},
                                                    {"KiloBytes", 3 * KiB},
                                                    {"GigaBytes", 3 * GiB},
                                                    {"TeraBytes", 3072 * GiB}};
  for (const auto& [unit, capacity] : units) {
    const auto e =
        with_disk(std::string("ovf:capacity=\"3\" ovf:capacityAllocationUnits=\"") + unit + "\"");
    ASSERT_TRUE(e) << e.error().message();
    EXPECT_EQ(e->disks[0].capacity, capacity) << unit;
  }
}

TEST(Envelope, WarnsOfACapacityThatIsNoNumberOfBytes) {
  for (const char* attributes :
       {"", "ovf:capacity=\"${size}\"", "ovf:capacity=\"-1\"",
        "ovf:capacity=\"99999999999999999999\"", "ovf:capacity=\"18446744073709551615\"",
        "ovf:capacity=\"4\" ovf:capacityAllocationUnits=\"byte * 2^62\"",
        "ovf:capacity=\"4\" ovf:capacityAllocationUnits=\"byte * 2^64\"",
        "ovf:capacity=\"4\" ovf:capacityAllocationUnits=\"sectors\""}) {
    const auto e = with_disk(attributes);
    ASSERT_TRUE(e) << e.error().message();
    EXPECT_EQ(e->disks[0].capacity, 0u) << attributes;
    EXPECT_THAT(e->warnings, ElementsAre(HasSubstr("its capacity is no number"))) << attributes;
  }
}

TEST(Envelope, RejectsWhatIsNone) {
  for (const std::string text : {"", "x", "<a/>", "<Envelope>"}) {
    const auto e = parse_envelope({text.begin(), text.end()});
    ASSERT_FALSE(e) << text;
    EXPECT_EQ(e.error().code(), Errc::corrupt);
    EXPECT_THAT(e.error().message(), HasSubstr("envelope: "));
  }
}

TEST(Envelope, RejectsIdsThatAreThereTwice) {
  EXPECT_EQ(envelope_refusal("<References><File id=\"a\"/><File id=\"a\"/></References>"),
            "envelope: two files have the id \"a\"");
  EXPECT_EQ(envelope_refusal("<DiskSection><Disk diskId=\"a\"/><Disk diskId=\"a\"/></DiskSection>"),
            "envelope: two disks have the id \"a\"");
}

std::string disk(const std::string& id, const std::string& parent) {
  return "<Disk capacity=\"1\" diskId=\"" + id + "\" parentRef=\"" + parent + "\"/>";
}

TEST(Envelope, RejectsParentsThatAreMissingOrALoop) {
  EXPECT_EQ(envelope_refusal("<DiskSection>" + disk("a", "b") + "</DiskSection>"),
            "envelope: disk \"a\" has the parent \"b\", which is not there");
  EXPECT_EQ(envelope_refusal("<DiskSection>" + disk("a", "a") + "</DiskSection>"),
            "envelope: disk \"a\" is its own ancestor");
  EXPECT_THAT(envelope_refusal("<DiskSection>" + disk("x", "a") + disk("a", "b") + disk("b", "c") +
                               disk("c", "a") + "</DiskSection>"),
              HasSubstr("is its own ancestor"));
}

TEST(Envelope, FollowsALongChainInNoTime) {
  std::string disks = disk("0", "");
  for (int i = 1; i < 20000; ++i) disks += disk(std::to_string(i), std::to_string(i - 1));
  EXPECT_EQ(envelope_refusal("<DiskSection>" + disks + "</DiskSection>"), "");
}

}  // namespace
}  // namespace platter::ova
