#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "lib/container/container.h"
#include "lib/container/extent_walk.h"
#include "lib/image/registry.h"
#include "lib/io/memory_file.h"
#include "lib/io/posix_file.h"
#include "tests/support/bytes.h"
#include "tests/support/temp_dir.h"

namespace platter::raw {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Raw : public testing::Test {
 protected:
  std::string read(const std::string& name, const ContainerOptions& options = {}) {
    auto container = Container::open(dir_ / name, options);
    if (!container) return "refused: " + container.error().message();
    const View& view = *(*container)->live();
    std::string text(view.size(), '\0');
    const auto done = view.read(0, std::as_writable_bytes(std::span(text)));
    return done ? text : "failed: " + done.error().message();
  }

  std::string variant(const std::string& name) {
    auto container = Container::open(dir_ / name);
    return container ? (*container)->info().variant : container.error().message();
  }

  test::TempDir dir_;
};

using RawSplit = Raw;

TEST_F(Raw, HasTheSizeOfItsFileToTheByte) {
  for (const size_t size : {1u, 511u, 513u, 4097u}) {
    test::write_file(dir_ / "a.img", std::string(size, 'x'));
    EXPECT_EQ(read("a.img"), std::string(size, 'x'));
  }
  EXPECT_EQ(variant("a.img"), "flat");
}

TEST_F(Raw, HasNoBytePastTheEndOfItsFile) {
  test::write_file(dir_ / "a.img", std::string(513, 'x'));
  auto container = Container::open(dir_ / "a.img");
  ASSERT_TRUE(container);
  std::vector<std::byte> out(2);
  const auto read = (*container)->live()->read(512, out);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Errc::out_of_range);
}

TEST_F(Raw, MapsTheHolesOfItsFileAsZeroes) {
  auto file = PosixFile::create(dir_ / "a.img");
  ASSERT_TRUE(file);
  const std::vector<std::byte> data(MiB, std::byte{7});
  ASSERT_TRUE((*file)->write(2 * MiB, data));
  ASSERT_TRUE((*file)->resize(8 * MiB));
  const auto run = (*file)->run_at(0);
  ASSERT_TRUE(run);
  if (run->data) GTEST_SKIP() << "this file system has no holes";
  auto container = Container::open(dir_ / "a.img");
  ASSERT_TRUE(container) << container.error().message();
  std::vector<std::pair<Range, Extent::Kind>> found;
  ASSERT_TRUE(walk(*(*container)->live(), {0, 8 * MiB}, [&](const View::Mapped& m) -> Result<bool> {
    found.emplace_back(m.extent.guest, m.extent.kind);
    return true;
  }));
  EXPECT_THAT(found, ElementsAre(std::pair(Range{0, 2 * MiB}, Extent::Kind::zero),
                                 std::pair(Range{2 * MiB, MiB}, Extent::Kind::data),
                                 std::pair(Range{3 * MiB, 5 * MiB}, Extent::Kind::zero)));
}

TEST_F(Raw, IsOneHoleWhenNothingWasWritten) {
  auto file = PosixFile::create(dir_ / "a.img");
  ASSERT_TRUE((*file)->resize(GiB));
  if ((*file)->run_at(0)->data) GTEST_SKIP() << "this file system has no holes";
  auto container = Container::open(dir_ / "a.img", {.format = "raw"});
  ASSERT_TRUE(container) << container.error().message();
  const auto mapped = (*container)->live()->map({0, GiB});
  ASSERT_TRUE(mapped);
  EXPECT_EQ(mapped->extent.kind, Extent::Kind::zero);
  EXPECT_EQ(mapped->extent.guest.length, GiB);
}

TEST_F(RawSplit, LaysPartsThatCountFromZeroEndToEnd) {
  test::write_file(dir_ / "d.000", "one-");
  test::write_file(dir_ / "d.001", "two--");
  test::write_file(dir_ / "d.002", "three");
  EXPECT_EQ(read("d.000"), "one-two--three");
  EXPECT_EQ(variant("d.000"), "split");
}

TEST_F(RawSplit, LaysPartsThatCountFromOneEndToEnd) {
  test::write_file(dir_ / "d.dd.001", "one-");
  test::write_file(dir_ / "d.dd.002", "two");
  EXPECT_EQ(read("d.dd.001"), "one-two");
}

TEST_F(RawSplit, LaysPartsThatCountInLettersEndToEnd) {
  test::write_file(dir_ / "d.aa", "one-");
  test::write_file(dir_ / "d.ab", "two");
  EXPECT_EQ(read("d.aa"), "one-two");
}

TEST_F(RawSplit, CarriesFromOneLetterOrDigitToTheNext) {
  std::string expected;
  for (int i = 0; i < 30; ++i) {
    const std::string text = "<" + std::to_string(i) + ">";
    expected += text;
    const char letters[] = {static_cast<char>('a' + i / 26), static_cast<char>('a' + i % 26), 0};
    test::write_file(dir_ / (std::string("d.") + letters), text);
    test::write_file(dir_ / ("n.0" + std::to_string(i / 10) + std::to_string(i % 10)), text);
  }
  EXPECT_EQ(read("d.aa"), expected);
  EXPECT_EQ(read("n.000"), expected);
}

TEST_F(RawSplit, ReadsAcrossPartsOfOddSizes) {
  test::write_file(dir_ / "d.000", std::string(5000, 'a'));
  test::write_file(dir_ / "d.001", std::string(1, 'b'));
  test::write_file(dir_ / "d.002", std::string(777, 'c'));
  auto container = Container::open(dir_ / "d.000");
  ASSERT_TRUE(container) << container.error().message();
  EXPECT_EQ((*container)->live()->size(), 5778u);
  std::string text(4, '\0');
  ASSERT_TRUE((*container)->live()->read(4998, std::as_writable_bytes(std::span(text))));
  EXPECT_EQ(text, "aabc");
}

TEST_F(RawSplit, EndsBeforeTheFirstPartThatIsNotThere) {
  test::write_file(dir_ / "d.000", "one-");
  test::write_file(dir_ / "d.002", "three");
  EXPECT_EQ(read("d.000"), "one-");
  EXPECT_EQ(variant("d.000"), "flat");
}

TEST_F(RawSplit, IsOnlyTheNamedPartWhenThatIsNotTheFirst) {
  test::write_file(dir_ / "d.002", "two-");
  test::write_file(dir_ / "d.003", "three");
  EXPECT_EQ(read("d.002"), "two-");
}

TEST_F(RawSplit, RefusesAnEmptyPartBehindTheFirst) {
  test::write_file(dir_ / "d.000", "one-");
  test::write_file(dir_ / "d.001", "");
  test::write_file(dir_ / "d.002", "three");
  EXPECT_THAT(read("d.000", {.format = "raw"}), HasSubstr("d.001 is empty"));
}

TEST_F(RawSplit, RefusesToLookForPartsWhenReferencesAreForbidden) {
  test::write_file(dir_ / "d.000", "one-");
  test::write_file(dir_ / "d.001", "two");
  EXPECT_THAT(read("d.000", {.format = "raw", .references = References::none}),
              HasSubstr("references=none"));
}

TEST_F(RawSplit, RefusesAPartThatIsNoRegularFile) {
  test::write_file(dir_ / "d.000", "one-");
  std::filesystem::create_directory(dir_ / "d.001");
  EXPECT_THAT(read("d.000", {.format = "raw"}), HasSubstr("not a regular file"));
}

TEST_F(RawSplit, RefusesAPartThatLeadsOutOfTheDirectory) {
  test::write_file(dir_ / "d.000", "one-");
  std::filesystem::create_symlink("/etc/passwd", dir_ / "d.001");
  EXPECT_THAT(read("d.000", {.format = "raw"}), HasSubstr("refused"));
}

TEST(RawCreate, WritesWhatItIsGivenAndLeavesTheRestAHole) {
  const test::TempDir dir;
  auto file = PosixFile::create(dir / "new.img");
  ASSERT_TRUE(file);
  const Options none;
  auto writer = find_format("raw")->create({.file = *file, .size = 10 * MiB + 3, .options = none});
  ASSERT_TRUE(writer);
  const std::string text = "end";
  ASSERT_TRUE((*writer)->write(10 * MiB, std::as_bytes(std::span(text))));
  ASSERT_TRUE((*writer)->finish());
  const std::string bytes = test::read_file(dir / "new.img");
  EXPECT_EQ(bytes.size(), 10 * MiB + 3);
  EXPECT_TRUE(bytes.ends_with("end"));
  EXPECT_EQ(bytes.find_first_not_of('\0'), 10 * MiB);
}

// A block device, say: zeroes are written instead, more of them than one sector.
TEST(RawWrite, DiscardsWhatTheHostCannotPunch) {
  const auto file = std::make_shared<MemoryFile>("memory", test::pattern(0, MiB, 1));
  Epochs epochs;
  BlockCache blocks(64 * KiB);
  const auto denied = deny_resolver("a test image is alone");
  const auto image = find_format("raw")->open({.file = file,
                                               .resolver = *denied,
                                               .tables = std::make_shared<PageCache>(MiB),
                                               .writable = true,
                                               .epochs = &epochs});
  ASSERT_TRUE(image);
  Layout layout(epochs,
                std::make_shared<const View>(std::vector<View::Layer>{{image->get(), 0}}, blocks));
  Writer writer(layout, **image, {.flush_every_ms = 0});
  ASSERT_TRUE(writer.discard({1000, 500 * KiB}));
  std::vector<std::byte> wanted = test::pattern(0, MiB, 1), seen(MiB);
  std::fill_n(wanted.begin() + 1000, 500 * KiB, std::byte{0});
  ASSERT_TRUE(layout.live()->read(0, seen));
  EXPECT_TRUE(seen == wanted);
}

using RawResize = Raw;

Result<void> resize(const std::string& path, uint64_t size) {
  const auto container = TRY(Container::open(path, {.format = "raw", .access = Access::write}));
  return container->chain().front().image->resize(size);
}

TEST_F(RawResize, AddsZeroesOrCutsTheFile) {
  test::write_file(dir_ / "a.img", "0123456789");
  ASSERT_TRUE(resize(dir_ / "a.img", 12));
  EXPECT_EQ(test::read_file(dir_ / "a.img"), std::string("0123456789\0\0", 12));
  ASSERT_TRUE(resize(dir_ / "a.img", 3));
  EXPECT_EQ(test::read_file(dir_ / "a.img"), "012");
}

TEST_F(RawResize, LetsTheOpenDiskGoOn) {
  test::write_file(dir_ / "d.000", "0123");
  test::write_file(dir_ / "d.001", "4567");
  const auto container =
      Container::open(dir_ / "d.000", {.format = "raw", .access = Access::write});
  ASSERT_TRUE(container);
  Writer& writer = *(*container)->writer();
  ASSERT_TRUE(writer.grow(100000));
  EXPECT_EQ((*container)->layout().size(), 100000u);
  const std::string text = "end";
  ASSERT_TRUE(writer.write(99997, std::as_bytes(std::span(text))));
  std::string all(100000, '?');
  ASSERT_TRUE((*container)->live()->read(0, std::as_writable_bytes(std::span(all))));
  EXPECT_EQ(all, "01234567" + std::string(99989, '\0') + "end");
  ASSERT_TRUE(writer.shrink(5));
  EXPECT_EQ((*container)->live()->size(), 5u);
  EXPECT_FALSE(writer.write(4, std::as_bytes(std::span(text))));
  EXPECT_EQ(test::read_file(dir_ / "d.001"), "4");
}

TEST_F(RawResize, ChangesTheLastPartOfASetOnly) {
  test::write_file(dir_ / "d.000", "0123");
  test::write_file(dir_ / "d.001", "4567");
  ASSERT_TRUE(resize(dir_ / "d.000", 6));
  EXPECT_EQ(test::read_file(dir_ / "d.000") + test::read_file(dir_ / "d.001"), "012345");
  const auto cut = resize(dir_ / "d.000", 4);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code(), Errc::unsupported);
  EXPECT_EQ(test::read_file(dir_ / "d.001"), "45");
}

}  // namespace
}  // namespace platter::raw
