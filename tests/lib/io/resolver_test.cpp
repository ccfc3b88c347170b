// Which files an image may name: the policy of references=none, beside and any.
#include "lib/io/resolver.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

#include "lib/io/memory_file.h"
#include "lib/io/posix_file.h"
#include "tests/support/bytes.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

namespace fs = std::filesystem;
using test::TempDir;

// root/secret, root/images/{a.qcow2,base,sub/deep}, root/images/Snapshots/child
class ResolverTest : public ::testing::Test {
 protected:
  ResolverTest() {
    fs::create_directories(dir_ / "images/sub");
    fs::create_directories(dir_ / "images/Snapshots");
    for (const char* file : {"secret", "images/a.qcow2", "images/base", "images/sub/deep",
                             "images/Snapshots/child", "images/Snapshots/sibling"}) {
      test::write_file(dir_ / file, file);
    }
    here_ = fs::current_path();
  }
  ~ResolverTest() override { fs::current_path(here_); }

  // What reference opens when image names it: the contents, or the error's message.
  std::string open(const std::string& image, std::string_view reference,
                   References policy = References::beside) {
    const auto file = directory_resolver(image, policy)->open(reference);
    if (!file) {
      code_ = file.error().code();
      return file.error().message();
    }
    std::vector<std::byte> out(100);
    return test::text_of(Bytes(out).first(*(*file)->read_available(0, out)));
  }
  std::string beside(std::string_view reference) {
    return open(dir_ / "images/a.qcow2", reference);
  }
  std::string any(std::string_view reference) {
    return open(dir_ / "images/a.qcow2", reference, References::any);
  }
  static std::string outside(const std::string& reference) {
    return "names \"" + reference +
           "\", which is not at or below its own directory (references=any would allow it)";
  }
  void link(const std::string& target, const std::string& name) const {
    fs::create_symlink(target, dir_ / name);
  }

  TempDir dir_;
  fs::path here_;
  Errc code_ = Errc::cancelled;
};

TEST_F(ResolverTest, KnowsThreeWords) {
  EXPECT_EQ(*parse_references("none"), References::none);
  EXPECT_EQ(*parse_references("beside"), References::beside);
  EXPECT_EQ(*parse_references("any"), References::any);
  const auto other = parse_references("all");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Errc::invalid);
}

TEST_F(ResolverTest, OpensAFileBesideAndBelow) {
  EXPECT_EQ(beside("base"), "images/base");
  EXPECT_EQ(beside("./base"), "images/base");
  EXPECT_EQ(beside("sub/deep"), "images/sub/deep");
  EXPECT_EQ(beside("sub/../base"), "images/base");
}

TEST_F(ResolverTest, TakesAnAbsoluteNameThatLiesBeside) {
  EXPECT_EQ(beside(dir_ / "images/base"), "images/base");
  EXPECT_EQ(beside(dir_ / "images/sub/deep"), "images/sub/deep");
  EXPECT_EQ(beside(dir_ / "images//base"), "images/base");
  EXPECT_EQ(beside(dir_ / "images/sub/../base"), "images/base");
}

TEST_F(ResolverTest, RefusesAnAbsoluteNameElsewhere) {
  EXPECT_EQ(beside("/etc/passwd"), outside("/etc/passwd"));
  EXPECT_EQ(code_, Errc::denied);
  EXPECT_EQ(beside(dir_ / "secret"), outside(dir_ / "secret"));
  EXPECT_EQ(beside(dir_ / "images/../secret"), outside(dir_ / "images/../secret"));
  // A directory whose name only begins like the image's.
  fs::create_directories(dir_ / "images2");
  test::write_file(dir_ / "images2/x", "x");
  EXPECT_EQ(beside(dir_ / "images2/x"), outside(dir_ / "images2/x"));
}

TEST_F(ResolverTest, RefusesAWayUpAndOut) {
  EXPECT_EQ(beside("../secret"), outside("../secret"));
  EXPECT_EQ(code_, Errc::denied);
  EXPECT_EQ(beside("sub/../../secret"), outside("sub/../../secret"));
  // Out and in again is out.
  EXPECT_EQ(beside("../images/base"), outside("../images/base"));
}

TEST_F(ResolverTest, RefusesALinkThatLeadsOut) {
  link("../secret", "images/relative");
  link(dir_ / "secret", "images/absolute");
  link("..", "images/up");
  EXPECT_EQ(beside("relative"), outside("relative"));
  EXPECT_EQ(beside("absolute"), outside("absolute"));
  EXPECT_EQ(beside("up/secret"), outside("up/secret"));
  EXPECT_EQ(beside(dir_ / "images/relative"), outside(dir_ / "images/relative"));
}

TEST_F(ResolverTest, FollowsALinkThatStaysInside) {
  link("base", "images/link");
  link("../base", "images/sub/link");
  link("sub", "images/folder");
  EXPECT_EQ(beside("link"), "images/base");
  EXPECT_EQ(beside("sub/link"), "images/base");
  EXPECT_EQ(beside("folder/deep"), "images/sub/deep");
}

TEST_F(ResolverTest, AnyFollowsNamesAnywhere) {
  link("../secret", "images/link");
  EXPECT_EQ(any("../secret"), "secret");
  EXPECT_EQ(any(dir_ / "secret"), "secret");
  EXPECT_EQ(any("link"), "secret");
  EXPECT_EQ(any("base"), "images/base");
}

TEST_F(ResolverTest, NoneFollowsNothingAndSaysWhatWould) {
  EXPECT_EQ(open(dir_ / "images/a.qcow2", "base", References::none),
            "names \"base\", which references=none forbids (references=beside or any would allow "
            "it)");
  EXPECT_EQ(code_, Errc::denied);
}

TEST_F(ResolverTest, RefusesProtocolsWhateverThePolicy) {
  for (const std::string name :
       {"json:{\"driver\":\"file\"}", "nbd://host/disk", "http://host/x", "https://host/x",
        "file:/etc/passwd", "ssh:x", "fat:rw:dir", "vvfat:x", "rbd:pool/image", "a.b+c-d_e:x",
        "C:\\disks\\base.vdi"}) {
    test::write_file(dir_ / "images/file:", "x");
    EXPECT_EQ(any(name), "names \"" + name + "\": only file names are followed");
    EXPECT_EQ(code_, Errc::denied);
    EXPECT_EQ(beside(name), any(name));
  }
}

TEST_F(ResolverTest, OpensAFileWithAColonThatIsNoProtocol) {
  test::write_file(dir_ / "images/json:x", "colon");
  EXPECT_EQ(beside("./json:x"), "colon");
  EXPECT_EQ(beside(dir_ / "images/json:x"), "colon");
  test::write_file(dir_ / "images/:x", "first");
  EXPECT_EQ(beside(":x"), "first");
}

TEST_F(ResolverTest, RefusesNamesThatAreNone) {
  EXPECT_EQ(beside(""), "names a file without a name");
  EXPECT_EQ(code_, Errc::corrupt);
  EXPECT_EQ(beside(std::string_view("base\0.img", 9)), "names a file with a zero byte in its name");
  EXPECT_EQ(any(std::string_view("\0", 1)), "names a file with a zero byte in its name");
}

TEST_F(ResolverTest, RefusesAFifoWithoutWaiting) {
  ASSERT_EQ(mkfifo((dir_ / "images/fifo").c_str(), 0600), 0);
  EXPECT_EQ(beside("fifo"), dir_ / "images/fifo" + ": is not a regular file");
  EXPECT_EQ(code_, Errc::denied);
  EXPECT_EQ(any("fifo"), dir_ / "images/fifo" + ": is not a regular file");
}

TEST_F(ResolverTest, RefusesDevicesAndDirectories) {
  EXPECT_EQ(any("/dev/zero"), "/dev/zero: is not a regular file");
  EXPECT_EQ(any("/dev/tty"), "/dev/tty: is not a regular file");
  EXPECT_EQ(beside("sub"), dir_ / "images/sub" + ": is not a regular file");
  EXPECT_EQ(beside("."), dir_ / "images/." + ": is not a regular file");
  EXPECT_EQ(beside(dir_ / "images"), outside(dir_ / "images"));
}

TEST_F(ResolverTest, RefusesMagicLinksOfProc) {
  const Descriptor fd(::open((dir_ / "secret").c_str(), O_RDONLY | O_CLOEXEC));
  const std::string link = "/proc/self/fd/" + std::to_string(fd.get());
  EXPECT_EQ(any(link), link + ": cannot open: Too many levels of symbolic links");
}

TEST_F(ResolverTest, SaysWhenNothingIsThere) {
  EXPECT_EQ(beside("none"), dir_ / "images/none" + ": cannot open: No such file or directory");
  EXPECT_EQ(code_, Errc::not_found);
  EXPECT_EQ(beside("base/x"), dir_ / "images/base/x" + ": cannot open: Not a directory");
  EXPECT_EQ(code_, Errc::not_found);
  link("nowhere", "images/dangling");
  (void)beside("dangling");
  EXPECT_EQ(code_, Errc::not_found);
  link("loop", "images/loop");
  EXPECT_EQ(beside("loop"), dir_ / "images/loop" +
                                ": cannot open: Too many levels of symbolic "
                                "links");
}

TEST_F(ResolverTest, AnImageInSnapshotsMayNameFilesOfTheDirectoryAbove) {
  const std::string child = dir_ / "images/Snapshots/child";
  EXPECT_EQ(open(child, "../base"), "images/base");
  EXPECT_EQ(open(child, "sibling"), "images/Snapshots/sibling");
  EXPECT_EQ(open(child, "../sub/deep"), "images/sub/deep");
  EXPECT_EQ(open(child, dir_ / "images/base"), "images/base");
  link("../base", "images/Snapshots/link");
  EXPECT_EQ(open(child, "link"), "images/base");
}

TEST_F(ResolverTest, AnImageInSnapshotsMayNotNameFilesFurtherUp) {
  const std::string child = dir_ / "images/Snapshots/child";
  EXPECT_EQ(open(child, "../../secret"), outside("../../secret"));
  EXPECT_EQ(open(child, dir_ / "secret"), outside(dir_ / "secret"));
  link(dir_ / "secret", "images/Snapshots/out");
  EXPECT_EQ(open(child, "out"), outside("out"));
}

TEST_F(ResolverTest, OnlyADirectoryReallyCalledSnapshotsWidensThePolicy) {
  fs::create_directories(dir_ / "images/MySnapshots");
  EXPECT_EQ(open(dir_ / "images/MySnapshots/child", "../base"), outside("../base"));
  link("sub", "images/sub/Snapshots");
  fs::create_directory_symlink(dir_ / "images/sub", dir_ / "Snapshots");
  EXPECT_EQ(open(dir_ / "Snapshots/child", "../base"), outside("../base"));
}

TEST_F(ResolverTest, StartsAtTheCurrentDirectoryForABareImageName) {
  fs::current_path(dir_ / "images");
  EXPECT_EQ(open("a.qcow2", "base"), "images/base");
  EXPECT_EQ(open("a.qcow2", "sub/deep"), "images/sub/deep");
  EXPECT_EQ(open("./a.qcow2", "base"), "images/base");
  EXPECT_EQ(open("a.qcow2", dir_ / "images/base"), "images/base");
  EXPECT_EQ(open("a.qcow2", "../secret"), outside("../secret"));
  EXPECT_EQ(open("a.qcow2", "none"), "none: cannot open: No such file or directory");
  EXPECT_EQ(open("sub/x", "deep"), "images/sub/deep");
  EXPECT_EQ(open("sub/x", "../base"), outside("../base"));
  EXPECT_EQ(open("../images/a.qcow2", "base"), "images/base");
  EXPECT_EQ(open("../images/a.qcow2", "../secret", References::any), "secret");
}

TEST_F(ResolverTest, FindsTheSnapshotsRuleFromTheCurrentDirectory) {
  fs::current_path(dir_ / "images/Snapshots");
  EXPECT_EQ(open("child", "../base"), "images/base");
  EXPECT_EQ(open("child", "../../secret"), outside("../../secret"));
  fs::current_path(dir_ / "images");
  EXPECT_EQ(open("Snapshots/child", "../base"), "images/base");
}

TEST_F(ResolverTest, WorksForAnImageInTheRootDirectory) {
  EXPECT_EQ(open("/a.qcow2", (dir_ / "secret").substr(1)), "secret");
  EXPECT_EQ(open("/a.qcow2", dir_ / "secret"), "secret");
  EXPECT_EQ(open("/a.qcow2", "no-such-file"),
            "/no-such-file: cannot open: No such file or directory");
}

TEST_F(ResolverTest, AnAbsoluteNameMayUseTheLinkByWhichTheUserCame) {
  fs::create_directory_symlink(dir_ / "images", dir_ / "alias");
  EXPECT_EQ(open(dir_ / "alias/a.qcow2", dir_ / "alias/base"), "images/base");
  EXPECT_EQ(open(dir_ / "alias/a.qcow2", dir_ / "images/base"), "images/base");
  // The shell keeps the link's name in PWD.
  const char* before = std::getenv("PWD");
  const std::string saved = before == nullptr ? "" : before;
  fs::current_path(dir_ / "images");
  setenv("PWD", (dir_ / "alias").c_str(), 1);
  EXPECT_EQ(open("a.qcow2", dir_ / "alias/base"), "images/base");
  setenv("PWD", dir_.path().c_str(), 1);  // a lie is not believed
  EXPECT_EQ(open("a.qcow2", dir_ / "base"), outside(dir_ / "base"));
  setenv("PWD", saved.c_str(), 1);
}

TEST_F(ResolverTest, RelativeNamesOfAParentStartAtTheParent) {
  const auto resolver = directory_resolver(dir_ / "images/a.qcow2", References::beside);
  const auto deep = resolver->open("sub/deep");
  ASSERT_TRUE(deep);
  const auto next = resolver->for_file(**deep);
  EXPECT_TRUE(next->open("deep"));
  EXPECT_FALSE(next->open("base"));
  const auto up = next->open("../base");
  ASSERT_FALSE(up);
  EXPECT_EQ(up.error().message(), outside("../base"));
}

TEST_F(ResolverTest, AParentOfASnapshotsImageIsBoundByItsOwnDirectory) {
  const auto resolver = directory_resolver(dir_ / "images/Snapshots/child", References::beside);
  const auto base = resolver->open("../base");
  ASSERT_TRUE(base);
  const auto next = resolver->for_file(**base);
  EXPECT_TRUE(next->open("sub/deep"));
  EXPECT_FALSE(next->open("../secret"));
}

// Names of the candidates, in the order they are offered.
std::vector<std::string> offered(const std::string& image, References policy, size_t limit = 1000) {
  constexpr std::array<std::string_view, 2> kExtensions = {"vdi", "img"};
  std::vector<std::string> names;
  const auto result = directory_resolver(image, policy)
                          ->candidates(kExtensions, [&](const Candidate& c) -> Result<bool> {
                            EXPECT_EQ(c.name, c.file->name());
                            names.push_back(fs::path(c.name).filename());
                            return names.size() < limit;
                          });
  EXPECT_TRUE(result) << result.error().message();
  return names;
}

class CandidatesTest : public ResolverTest {
 protected:
  CandidatesTest() {
    for (const char* file : {"images/b.vdi", "images/A.VDI", "images/c.img", "images/d.vdi.bak",
                             "images/Snapshots/s.vdi", "up.vdi"}) {
      test::write_file(dir_ / file, file);
    }
  }
};

TEST_F(CandidatesTest, AreTheFilesBesideWithAnExtensionInOrder) {
  EXPECT_EQ(offered(dir_ / "images/x", References::beside),
            (std::vector<std::string>{"A.VDI", "b.vdi", "c.img"}));
}

TEST_F(CandidatesTest, AreNoneWithoutReferences) {
  EXPECT_TRUE(offered(dir_ / "images/x", References::none).empty());
}

TEST_F(CandidatesTest, IncludeTheDirectoryAboveWhereThePolicyAllowsIt) {
  EXPECT_EQ(offered(dir_ / "images/x", References::any),
            (std::vector<std::string>{"A.VDI", "b.vdi", "c.img", "up.vdi"}));
  EXPECT_EQ(offered(dir_ / "images/Snapshots/x", References::beside),
            (std::vector<std::string>{"s.vdi", "A.VDI", "b.vdi", "c.img"}));
}

TEST_F(CandidatesTest, StopWhenEnoughIsKnown) {
  EXPECT_EQ(offered(dir_ / "images/x", References::any, 2).size(), 2U);
}

TEST_F(CandidatesTest, LeaveOutWhatIsNoRegularFileAndLinks) {
  ASSERT_EQ(mkfifo((dir_ / "images/fifo.vdi").c_str(), 0600), 0);
  fs::create_directories(dir_ / "images/folder.vdi");
  link("../secret", "images/link.vdi");
  EXPECT_EQ(offered(dir_ / "images/x", References::beside).size(), 3U);
}

TEST_F(CandidatesTest, AreFoundThroughALinkedDirectory) {
  fs::create_directory_symlink(dir_ / "images", dir_ / "alias");
  EXPECT_EQ(offered(dir_ / "alias/x", References::beside).size(), 3U);
}

TEST_F(CandidatesTest, AreFoundFromTheCurrentDirectory) {
  fs::current_path(dir_ / "images");
  EXPECT_EQ(offered("x", References::beside).size(), 3U);
}

TEST_F(CandidatesTest, AreOpenOneAtATime) {
  for (int i = 0; i < 300; ++i) {
    test::write_file(dir_ / ("images/many" + std::to_string(i) + ".vdi"), "x");
  }
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few = {.rlim_cur = 200, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  EXPECT_EQ(offered(dir_ / "images/x", References::beside, 5000).size(), 303U);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(CandidatesTest, AnErrorOfTheVisitorIsPassedOn) {
  constexpr std::array<std::string_view, 1> kExtensions = {"vdi"};
  const auto result = directory_resolver(dir_ / "images/x", References::beside)
                          ->candidates(kExtensions, [](const Candidate&) -> Result<bool> {
                            return Error(Errc::io, "stop");
                          });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message(), "stop");
}

TEST(DenyResolver, RefusesEverythingWithItsReason) {
  const auto resolver = deny_resolver("only its own description is wanted");
  const auto file = resolver->open("base");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code(), Errc::denied);
  EXPECT_EQ(file.error().message(), "names \"base\": only its own description is wanted");
  EXPECT_FALSE(resolver->candidates({}, [](const Candidate&) -> Result<bool> { return true; }));
  const MemoryFile any;
  EXPECT_FALSE(resolver->for_file(any)->open("base"));
}

TEST(MapResolver, GivesWhatItWasGiven) {
  const auto base = std::make_shared<MemoryFile>("base");
  const auto resolver = map_resolver({{"base", base}, {"other", base}});
  EXPECT_EQ(*resolver->open("base"), base);
  const auto none = resolver->open("none");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Errc::not_found);
  size_t seen = 0;
  EXPECT_TRUE(resolver->candidates({}, [&](const Candidate&) -> Result<bool> {
    ++seen;
    return false;
  }));
  EXPECT_EQ(seen, 1U);
  EXPECT_TRUE(resolver->for_file(*base)->open("base"));
}

}  // namespace
}  // namespace platter
