// Chains of real qcow2 files: depth, loops, what a parent may do, and what is said when it cannot.
#include "lib/container/chain.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lib/image/registry.h"
#include "tests/formats/qcow2/image_builder.h"
#include "tests/support/bytes.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

namespace fs = std::filesystem;
using qcow2::test::ImageBuilder;
using test::TempDir;

class ChainTest : public ::testing::Test {
 protected:
  // An image of 16 KiB with data in its first 512 bytes.
  void qcow2(const std::string& name, const std::string& backing = {},
             const std::string& format = {}) const {
    ImageBuilder builder;
    if (!format.empty()) builder.extension(qcow2::ExtensionType::backing_format, format);
    if (!backing.empty()) builder.backing(backing);
    const FilePtr file = builder.file();
    std::vector<std::byte> bytes(file->stat()->size);
    ASSERT_TRUE(file->read_exact(0, bytes));
    test::write_file(dir_ / name, Bytes(bytes));
  }
  void raw(const std::string& name) const {
    test::write_file(dir_ / name, std::string(16384, 'r'));
  }

  Result<std::vector<ChainLayer>> open(const std::string& name,
                                       References references = References::beside,
                                       bool parents = true) const {
    return open_chain({.path = dir_ / name,
                       .references = references,
                       .parents = parents,
                       .tables = std::make_shared<PageCache>(1 * MiB)});
  }
  // The message, its directory cut away wherever it stands.
  std::string refusal(const std::string& name, References references = References::beside) {
    const auto chain = open(name, references);
    if (chain) return fmt::format("opened {} layers", chain->size());
    code_ = chain.error().code();
    std::string message = chain.error().message();
    for (size_t at = 0; (at = message.find(dir_.path() + "/")) != std::string::npos;) {
      message.erase(at, dir_.path().size() + 1);
    }
    EXPECT_EQ(message.find('\n'), std::string::npos);
    return message;
  }
  std::vector<std::string> layers(const std::string& name,
                                  References references = References::beside) const {
    std::vector<std::string> names;
    const auto chain = open(name, references);
    EXPECT_TRUE(chain) << chain.error().message();
    if (!chain) return names;
    for (const ChainLayer& layer : *chain) names.push_back(layer.file_name());
    return names;
  }
  void tower(size_t depth) const {
    qcow2("0.qcow2");
    for (size_t i = 1; i < depth; ++i) {
      qcow2(fmt::format("{}.qcow2", i), fmt::format("{}.qcow2", i - 1), "qcow2");
    }
  }

  TempDir dir_;
  Errc code_ = Errc::cancelled;
};

using Names = std::vector<std::string>;

TEST_F(ChainTest, OpensAnImageAndItsParentsTopFirst) {
  raw("base.img");
  qcow2("middle.qcow2", "base.img", "raw");
  qcow2("top.qcow2", "middle.qcow2", "qcow2");
  EXPECT_EQ(layers("top.qcow2"), (Names{"top.qcow2", "middle.qcow2", "base.img"}));
  const auto chain = open("top.qcow2");
  EXPECT_EQ((*chain)[2].format, find_format("raw"));
  EXPECT_FALSE((*chain)[2].guessed);
}

TEST_F(ChainTest, WithoutParentsOpensTheTopAlone) {
  qcow2("top.qcow2", "no-such-file", "qcow2");
  const auto chain = open("top.qcow2", References::none, false);
  ASSERT_TRUE(chain) << chain.error().message();
  EXPECT_EQ(chain->size(), 1U);
}

TEST_F(ChainTest, TheUserMayNameTheFormat) {
  qcow2("top.qcow2");
  const auto chain = open_chain({.path = dir_ / "top.qcow2",
                                 .format = find_format("raw"),
                                 .tables = std::make_shared<PageCache>(0)});
  ASSERT_TRUE(chain);
  EXPECT_EQ(chain->front().image->info().format, "raw");
  EXPECT_FALSE(chain->front().guessed);
}

TEST_F(ChainTest, ThreeHundredLayersOpen) {
  tower(300);
  EXPECT_EQ(layers("299.qcow2").size(), 300U);
}

TEST_F(ChainTest, SixHundredLayersAreRefused) {
  tower(600);
  EXPECT_EQ(refusal("599.qcow2"),
            "88.qcow2: has a parent, but 512 images are open already: the chain is deeper than "
            "the limit");
  EXPECT_EQ(code_, Errc::unsupported);
}

TEST_F(ChainTest, ExactlyAsManyAsTheLimitOpen) {
  tower(512);
  EXPECT_EQ(layers("511.qcow2").size(), 512U);
}

TEST_F(ChainTest, RefusesAnImageThatIsItsOwnParent) {
  qcow2("a.qcow2", "a.qcow2", "qcow2");
  EXPECT_EQ(refusal("a.qcow2"), "a.qcow2: is its own ancestor: the chain is a loop");
  EXPECT_EQ(code_, Errc::corrupt);
}

TEST_F(ChainTest, RefusesALoopOfTwo) {
  qcow2("a.qcow2", "b.qcow2", "qcow2");
  qcow2("b.qcow2", "a.qcow2", "qcow2");
  EXPECT_EQ(refusal("a.qcow2"), "a.qcow2: is its own ancestor: the chain is a loop");
}

TEST_F(ChainTest, RefusesALoopThroughAnotherName) {
  qcow2("a.qcow2", "link.qcow2", "qcow2");
  fs::create_symlink("a.qcow2", dir_ / "link.qcow2");
  EXPECT_EQ(refusal("a.qcow2"), "link.qcow2: is its own ancestor: the chain is a loop");
  qcow2("b.qcow2", "hard.qcow2", "qcow2");
  ASSERT_EQ(::link((dir_ / "b.qcow2").c_str(), (dir_ / "hard.qcow2").c_str()), 0);
  EXPECT_EQ(refusal("b.qcow2"), "hard.qcow2: is its own ancestor: the chain is a loop");
}

TEST_F(ChainTest, SaysWhichParentIsMissingAndWhoWantsIt) {
  qcow2("top.qcow2", "middle.qcow2", "qcow2");
  qcow2("middle.qcow2", "gone.qcow2", "qcow2");
  EXPECT_EQ(refusal("top.qcow2"), "middle.qcow2: its parent \"gone.qcow2\" is missing");
  EXPECT_EQ(code_, Errc::not_found);
}

TEST_F(ChainTest, RefusesHostFilesByWhateverName) {
  const std::string tail =
      ", which is not at or below its own directory (references=any would allow it)";
  for (const std::string name : {"/etc/passwd", "../../../../etc/passwd", "../x"}) {
    qcow2("top.qcow2", name, "raw");
    EXPECT_EQ(refusal("top.qcow2"), "top.qcow2: names \"" + name + "\"" + tail);
    EXPECT_EQ(code_, Errc::denied);
  }
  fs::create_symlink("/etc/passwd", dir_ / "link");
  qcow2("top.qcow2", "link", "raw");
  EXPECT_EQ(refusal("top.qcow2"), "top.qcow2: names \"link\"" + tail);
}

TEST_F(ChainTest, RefusesProtocolsEvenWithAny) {
  for (const std::string name : {"json:{\"driver\":\"null-co\"}", "nbd://h/x", "http://h/x"}) {
    qcow2("top.qcow2", name, "raw");
    EXPECT_EQ(refusal("top.qcow2", References::any),
              "top.qcow2: names \"" + name + "\": only file names are followed");
  }
}

TEST_F(ChainTest, RefusesAFifoAsParentWithoutWaiting) {
  ASSERT_EQ(mkfifo((dir_ / "fifo").c_str(), 0600), 0);
  qcow2("top.qcow2", "fifo", "raw");
  EXPECT_EQ(refusal("top.qcow2"), "top.qcow2: fifo: is not a regular file");
}

TEST_F(ChainTest, NoneFollowsNoParent) {
  raw("base.img");
  qcow2("top.qcow2", "base.img", "raw");
  EXPECT_EQ(refusal("top.qcow2", References::none),
            "top.qcow2: names \"base.img\", which references=none forbids (references=beside or "
            "any would allow it)");
}

TEST_F(ChainTest, AParentOfUnnamedFormatIsProbed) {
  qcow2("base.qcow2");
  qcow2("top.qcow2", "base.qcow2");
  const auto chain = open("top.qcow2");
  ASSERT_TRUE(chain) << chain.error().message();
  EXPECT_EQ((*chain)[1].image->info().format, "qcow2");
  raw("base.img");
  qcow2("other.qcow2", "base.img");
  const auto guessed = open("other.qcow2");
  ASSERT_TRUE(guessed);
  EXPECT_TRUE((*guessed)[1].guessed);
}

// A guest that owns a raw disk may write a qcow2 header into it.
TEST_F(ChainTest, AParentWhoseFormatWasGuessedMayNotNameOthers) {
  raw("secret.img");
  qcow2("base.img", "secret.img", "raw");
  qcow2("top.qcow2", "base.img");
  EXPECT_EQ(refusal("top.qcow2"),
            "base.img: names a parent, but the image above it does not say that it is qcow2: its "
            "own references are not followed");
  EXPECT_EQ(code_, Errc::denied);
  EXPECT_EQ(refusal("top.qcow2", References::any),
            "base.img: names a parent, but the image above it does not say that it is qcow2: its "
            "own references are not followed");
  qcow2("top.qcow2", "base.img", "qcow2");
  EXPECT_EQ(layers("top.qcow2"), (Names{"top.qcow2", "base.img", "secret.img"}));
}

TEST_F(ChainTest, AParentThatIsNamedRawIsNotProbed) {
  qcow2("base.img", "secret.img", "raw");
  qcow2("top.qcow2", "base.img", "raw");
  EXPECT_EQ(layers("top.qcow2"), (Names{"top.qcow2", "base.img"}));
}

TEST_F(ChainTest, SaysWhenItCannotReadTheParentsFormat) {
  raw("base.img");
  qcow2("top.qcow2", "base.img", "parallels");
  EXPECT_EQ(refusal("top.qcow2"),
            "top.qcow2: its parent \"base.img\" is of format \"parallels\", which this version "
            "cannot read");
  EXPECT_EQ(code_, Errc::unsupported);
}

TEST_F(ChainTest, AParentThatIsNotWhatItIsSaidToBeIsRefused) {
  raw("base.img");
  qcow2("top.qcow2", "base.img", "qcow2");
  EXPECT_TRUE(refusal("top.qcow2").starts_with("base.img: ")) << refusal("top.qcow2");
  test::write_file(dir_ / "empty.img", "");
  qcow2("other.qcow2", "empty.img");
  EXPECT_EQ(refusal("other.qcow2"), "empty.img: is empty: no disk image");
}

TEST_F(ChainTest, RelativeNamesStartAtTheFileThatHoldsThem) {
  fs::create_directories(dir_ / "sub");
  raw("sub/base.img");
  qcow2("sub/middle.qcow2", "base.img", "raw");
  qcow2("top.qcow2", "sub/middle.qcow2", "qcow2");
  EXPECT_EQ(layers("top.qcow2"), (Names{"top.qcow2", "middle.qcow2", "base.img"}));
}

}  // namespace
}  // namespace platter
