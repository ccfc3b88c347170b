#include "lib/container/container.h"

#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/formats/qcow2/image_builder.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using qcow2::test::ImageBuilder;
using test::TempDir;

class ContainerTest : public ::testing::Test {
 protected:
  void qcow2(const std::string& name, const std::string& backing = {}) const {
    ImageBuilder builder;
    if (!backing.empty()) {
      builder.extension(qcow2::ExtensionType::backing_format, "qcow2");
      builder.backing(backing);
    }
    const FilePtr file = builder.file();
    std::vector<std::byte> bytes(file->stat()->size);
    ASSERT_TRUE(file->read_exact(0, bytes));
    test::write_file(dir_ / name, Bytes(bytes));
  }
  std::string refusal(const std::string& name, const ContainerOptions& options = {}) const {
    const auto container = Container::open(dir_ / name, options);
    if (container) return "opened";
    std::string message = container.error().message();
    const size_t at = message.find(dir_.path() + "/");
    return at == std::string::npos ? message : message.erase(at, dir_.path().size() + 1);
  }
  TempDir dir_;
};

TEST_F(ContainerTest, ReadsARawFileAsItIs) {
  test::write_file(dir_ / "a.img", std::string(3000, 'x'));
  auto container = Container::open(dir_ / "a.img");
  ASSERT_TRUE(container) << container.error().message();
  std::vector<std::byte> out(3000);
  ASSERT_TRUE((*container)->live()->read(0, out));
  EXPECT_EQ(out.front(), std::byte{'x'});
  EXPECT_EQ(out.back(), std::byte{'x'});
  EXPECT_TRUE((*container)->chain().front().guessed);
  EXPECT_TRUE((*container)->states().empty());
}

TEST_F(ContainerTest, RefusesAReadPastTheEndOfTheDisk) {
  test::write_file(dir_ / "a.img", std::string(3000, 'x'));
  auto container = Container::open(dir_ / "a.img");
  ASSERT_TRUE(container);
  std::vector<std::byte> out(2);
  EXPECT_FALSE((*container)->live()->read(2999, out));
}

TEST_F(ContainerTest, RefusesAnEmptyFile) {
  test::write_file(dir_ / "a.img", "");
  EXPECT_EQ(refusal("a.img"), "a.img: is empty: no disk image");
}

TEST_F(ContainerTest, RefusesAFormatThatIsNone) {
  test::write_file(dir_ / "a.img", "x");
  EXPECT_EQ(refusal("a.img", {.format = "qcow9"}), "format=qcow9: there is no such format");
}

TEST_F(ContainerTest, SaysOnceWhichFileIsMissing) {
  EXPECT_EQ(refusal("none.img"), "none.img: cannot open: No such file or directory");
}

TEST_F(ContainerTest, ParentsAreStatesTheNearestFirst) {
  qcow2("base.qcow2");
  qcow2("middle.qcow2", "base.qcow2");
  qcow2("top.qcow2", "middle.qcow2");
  const auto container = Container::open(dir_ / "top.qcow2");
  ASSERT_TRUE(container) << container.error().message();
  const auto& states = (*container)->states();
  ASSERT_EQ(states.size(), 2U);
  EXPECT_EQ(states[0].shown, "middle.qcow2");
  EXPECT_EQ(states[0].depth, 1U);
  EXPECT_EQ(states[1].shown, "base.qcow2");
  EXPECT_EQ(states[1].view->layers().size(), 1U);
}

TEST_F(ContainerTest, ALayersNamePicksIt) {
  qcow2("base.qcow2");
  qcow2("top.qcow2", "base.qcow2");
  const auto container = Container::open(dir_ / "top.qcow2");
  ASSERT_TRUE(container);
  const auto state = (*container)->find_state("base.qcow2");
  ASSERT_TRUE(state);
  EXPECT_EQ((*state)->depth, 1U);
  const auto none = (*container)->find_state("nothing");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Errc::not_found);
  EXPECT_EQ(none.error().message(), "there is no snapshot or layer \"nothing\"");
  EXPECT_FALSE((*container)->find_state("id:base.qcow2"));
  EXPECT_FALSE((*container)->find_state(""));
}

TEST_F(ContainerTest, LayersOfOneFileNameGoByTheirDepth) {
  std::filesystem::create_directories(dir_ / "a/a");
  qcow2("a/a/disk.qcow2");
  qcow2("a/disk.qcow2", "a/disk.qcow2");
  qcow2("top.qcow2", "a/disk.qcow2");
  const auto container = Container::open(dir_ / "top.qcow2");
  ASSERT_TRUE(container) << container.error().message();
  EXPECT_EQ((*container)->states()[0].shown, "disk.qcow2");
  EXPECT_EQ((*container)->states()[1].shown, "disk.qcow2@2");
  EXPECT_EQ((*(*container)->find_state("disk.qcow2@2"))->depth, 2U);
  const auto both = (*container)->find_state("disk.qcow2");
  ASSERT_FALSE(both);
  EXPECT_EQ(both.error().message(),
            "2 layers are called \"disk.qcow2\": the later ones go by NAME@DEPTH");
}

TEST_F(ContainerTest, AStateCanBeTheDisk) {
  qcow2("base.qcow2");
  qcow2("top.qcow2", "base.qcow2");
  const auto container = Container::open(dir_ / "top.qcow2", {.snapshot = "base.qcow2"});
  ASSERT_TRUE(container) << container.error().message();
  EXPECT_EQ((*container)->live()->layers().size(), 1U);
  EXPECT_EQ(refusal("top.qcow2", {.snapshot = "other"}),
            "top.qcow2: there is no snapshot or layer \"other\"");
}

TEST_F(ContainerTest, CountsWhatTheHostKeepsOfEachLayer) {
  qcow2("base.qcow2");
  qcow2("top.qcow2", "base.qcow2");
  const auto container = Container::open(dir_ / "top.qcow2");
  ASSERT_TRUE(container);
  const uint64_t all = *(*container)->allocated();
  const uint64_t base = *(*container)->allocated(1);
  EXPECT_GT(base, 0U);
  EXPECT_GT(all, base);
  EXPECT_EQ(*(*container)->allocated(2), 0U);
}

// Two snapshots of one name, one whose name is another's id; made by qemu-img when it is there.
class SnapshotsTest : public ContainerTest {
 protected:
  void SetUp() override {
    const std::string image = dir_ / "s.qcow2";
    const std::string line = fmt::format(
        "qemu-img create -q -f qcow2 '{0}' 1M && qemu-img snapshot -c one '{0}' && "
        "qemu-img snapshot -c 1 '{0}' && qemu-img snapshot -c 'a/b' '{0}' && "
        "qemu-img snapshot -c one '{0}'",
        image);
    if (std::system("qemu-img --version >/dev/null 2>&1") != 0) {
      GTEST_SKIP() << "qemu-img is not installed";
    }
    ASSERT_EQ(std::system(line.c_str()), 0);
    auto opened = Container::open(image);
    ASSERT_TRUE(opened) << opened.error().message();
    container_ = std::move(*opened);
  }
  std::string id_of(std::string_view wanted) const {
    const auto state = container_->find_state(wanted);
    return state ? (*state)->snapshot.format_id : "error: " + state.error().message();
  }
  std::unique_ptr<Container> container_;
};

TEST_F(SnapshotsTest, AreShownInTheImagesOrderWithoutClashes) {
  std::vector<std::string> shown;
  for (const State& state : container_->states()) shown.push_back(state.shown);
  EXPECT_EQ(shown, (std::vector<std::string>{"one", "1", "a%2Fb", "one@4"}));
}

TEST_F(SnapshotsTest, ANameBeatsAnId) {
  EXPECT_EQ(id_of("1"), "2");
  EXPECT_EQ(id_of("id:1"), "1");
  EXPECT_EQ(id_of("name:1"), "2");
  EXPECT_EQ(id_of("3"), "3");
  EXPECT_EQ(id_of("a/b"), "3");
  EXPECT_EQ(id_of("a%2Fb"), "3");
  EXPECT_EQ(id_of("one@4"), "4");
}

TEST_F(SnapshotsTest, AnAmbiguousNameIsRefused) {
  EXPECT_EQ(id_of("one"), "error: 2 snapshots are called \"one\": say which with id:ID");
  EXPECT_EQ(id_of("id:9"), "error: there is no snapshot or layer \"id:9\"");
}

}  // namespace
}  // namespace platter
