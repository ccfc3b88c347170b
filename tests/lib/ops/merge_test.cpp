#include "lib/ops/merge.h"

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/ops/child.h"
#include "lib/ops/create.h"
#include "tests/support/image_chain.h"
#include "tests/support/rounds.h"
#include "tests/support/same_bytes.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_keys.h"

namespace platter {
namespace {

namespace fs = std::filesystem;
using test::ChainPart;
using test::disk_of;
using test::fault_of;
using test::ImageChain;
using test::same;
using test::TempDir;
using testing::ElementsAre;
using testing::HasSubstr;

using Parts = std::vector<ChainPart>;

// Of formats that can stand on one another, with blocks of many sizes; from the base up.
const std::vector<std::pair<std::string, Parts>>& mixed_chains() {
  static const std::vector<std::pair<std::string, Parts>> kChains = {
      {"vdi_and_qcow2",
       {{"vdi", "block_size=64k"},
        {"vdi", ""},
        {"vdi", "block_size=4k"},
        {"qcow2", "cluster_size=64k"},
        {"qcow2", "cluster_size=512"},
        {"qcow2", "cluster_size=16k,extended_l2=on"}}},
      {"vmdk_and_qcow2",
       {{"vmdk", ""},
        {"vmdk", ""},
        {"vmdk", ""},
        {"qcow2", "compat=0.10,cluster_size=2k"},
        {"qcow2", "cluster_size=1M"},
        {"qcow2", ""}}},
      {"vhdx_and_qcow2",
       {{"vhdx", "block_size=1M", 2 * MiB + 512},
        {"vhdx", "block_size=2M"},
        {"vhdx", "block_size=1M"},
        {"vhdx", "block_size=1M"},
        {"qcow2", "cluster_size=4k"},
        {"qcow2", ""}}},
      {"vhd_and_qcow2",
       {{"vhd", "block_size=512k"},
        {"vhd", "block_size=64k"},
        {"vhd", ""},
        {"vhd", "block_size=1M"},
        {"qcow2", "cluster_size=1k"},
        {"qcow2", ""}}},
      {"raw_qcow_and_qcow2",
       {{"raw", ""},
        {"qcow", "cluster_size=512"},
        {"qcow2", ""},
        {"qcow2", "cluster_size=8k"},
        {"qcow2", "cluster_size=512"},
        {"qcow2", "cluster_size=256k"}}}};
  return kChains;
}

MergeArgs merge_of(const std::string& path, const std::string& ancestor = {}) {
  return {.path = path, .ancestor = ancestor, .threads = 2};
}

class MergedChain : public testing::TestWithParam<std::pair<std::string, Parts>> {
 protected:
  // A directory of images, with their holes.
  static void copy_of(const fs::path& from, const fs::path& to) {
    fs::remove_all(to);
    fs::create_directory(to);
    for (const auto& entry : fs::directory_iterator(from)) {
      const auto source = PosixFile::open(entry.path());
      const auto copy = PosixFile::create(to / entry.path().filename());
      if (!source || !copy) continue;
      const uint64_t size = (*source)->stat()->size;
      ASSERT_TRUE((*copy)->resize(size));
      for (uint64_t at = 0; at < size;) {
        const auto run = (*source)->run_at(at);
        if (!run) break;
        std::vector<std::byte> bytes(run->data ? run->range.end() - at : 0);
        ASSERT_TRUE((*source)->read_padded(at, bytes));
        ASSERT_TRUE((*copy)->write(at, bytes));
        at = run->range.end();
      }
    }
  }
  static std::string in(const fs::path& directory, const std::string& image) {
    return (directory / fs::path(image).filename()).string();
  }
};

// A format below which no image that has a parent can be told.
bool can_take_child(const std::string& path) { return !path.ends_with(".qcow"); }

TEST_P(MergedChain, ShowsTheSameDiskWhereverItIsMergedDown) {
  const TempDir dir;
  fs::create_directory(dir / "made");
  const ImageChain chain(dir / "made", GetParam().second);
  const auto before = disk_of(chain[0]);
  ASSERT_FALSE(before.empty());
  unsigned turn = 0;
  for (size_t image = 0; image + 1 < chain.count(); ++image) {
    for (size_t into = image + 1; into < chain.count(); ++into) {
      // A base cannot be merged into; all are tried in a long run.
      if (++turn % 3 != 0 && into != image + 1 && test::rounds(1) == 1) continue;
      if (image > 0 && !can_take_child(chain[image - 1])) continue;
      copy_of(dir / "made", dir / "merged");
      const auto path = [&](size_t depth) { return in(dir / "merged", chain[depth]); };
      MergeArgs args = merge_of(path(image), into == image + 1 ? "" : path(into));
      if (image > 0) args.children = {path(image - 1)};
      args.ancestor_format = path(into).ends_with(".raw") ? "raw" : "";
      NoProgress progress;
      const auto merged = merge_down(args, progress);
      ASSERT_TRUE(merged) << image << " into " << into << ": " << merged.error().message();
      const std::string top = image == 0 ? path(into) : path(0);
      EXPECT_EQ(fault_of(top), "") << image << " into " << into;
      EXPECT_TRUE(same(disk_of(top), before)) << image << " into " << into;
      for (size_t depth = image; depth < into; ++depth) EXPECT_FALSE(fs::exists(path(depth)));
      EXPECT_EQ(merged->deleted.size(), into - image);
    }
  }
}

TEST_P(MergedChain, ShowsTheSameDiskWhereverItIsMergedUp) {
  const TempDir dir;
  fs::create_directory(dir / "made");
  const ImageChain chain(dir / "made", GetParam().second);
  unsigned turn = 0;
  for (size_t image = 0; image + 1 < chain.count(); ++image) {
    const auto before = disk_of(chain[image]);
    // As if there were another image below the base.
    for (size_t onto = image + 2; onto <= chain.count(); ++onto) {
      if (++turn % 3 != 0 && onto < chain.count() && test::rounds(1) == 1) continue;
      copy_of(dir / "made", dir / "merged");
      const auto path = [&](size_t depth) { return in(dir / "merged", chain[depth]); };
      MergeArgs args = merge_of(path(image), onto == chain.count() ? "" : path(onto));
      if (image > 0) args.children = {path(image - 1)};
      args.remove = true;
      NoProgress progress;
      const auto merged = merge_up(args, progress);
      if (!merged && onto < chain.count()) {
        // Not every format can name every other.
        EXPECT_THAT(merged.error().message(), HasSubstr("parent")) << image << " onto " << onto;
        continue;
      }
      ASSERT_TRUE(merged) << image << " onto " << onto << ": " << merged.error().message();
      EXPECT_EQ(fault_of(path(image)), "") << image << " onto " << onto;
      EXPECT_TRUE(same(disk_of(path(image)), before)) << image << " onto " << onto;
      EXPECT_TRUE(same(disk_of(path(0)), disk_of(chain[0]))) << image << " onto " << onto;
      for (size_t depth = image + 1; depth < onto; ++depth) EXPECT_FALSE(fs::exists(path(depth)));
      EXPECT_EQ(fs::exists(path(chain.count() - 1)), onto < chain.count());
    }
  }
}

// Looks, each time the merge has come further, at what a crash would leave.
class Watcher final : public Progress {
 public:
  explicit Watcher(std::function<void()> look) : look_(std::move(look)) {}
  void advance(uint64_t /*done*/, uint64_t /*total*/) override { look_(); }
  bool cancelled() const override { return false; }

 private:
  std::function<void()> look_;
};

TEST_P(MergedChain, OpensAndShowsTheSameDiskAfterACrashAtAnyStep) {
  const Parts& all = GetParam().second;
  const TempDir dir;
  fs::create_directory(dir / "made");
  const ImageChain chain(dir / "made", Parts(all.begin(), all.begin() + 4));
  const auto before = disk_of(chain[0]);
  for (const bool down : {true, false}) {
    copy_of(dir / "made", dir / "merged");
    const auto path = [&](size_t depth) { return in(dir / "merged", chain[depth]); };
    unsigned looks = 0;
    Watcher watcher([&] {
      ++looks;
      copy_of(dir / "merged", dir / "crashed");
      std::string top = in(dir / "crashed", chain[0]);
      if (!fs::exists(top)) top = in(dir / "crashed", chain[2]);
      EXPECT_EQ(fault_of(top), "") << looks;
      EXPECT_TRUE(same(disk_of(top), before)) << looks;
    });
    MergeArgs args = merge_of(path(0), down ? path(2) : "");
    args.remove = !down;
    const auto merged = down ? merge_down(args, watcher) : merge_up(args, watcher);
    ASSERT_TRUE(merged) << merged.error().message();
    EXPECT_GT(looks, 5u);
  }
}

class LosesPatience final : public Progress {
 public:
  explicit LosesPatience(int patience) : patience_(patience) {}
  void advance(uint64_t /*done*/, uint64_t /*total*/) override {}
  bool cancelled() const override { return --patience_ < 0; }

 private:
  mutable std::atomic<int> patience_;
};

TEST_P(MergedChain, IsHarmlessToCancelAtAnyMoment) {
  const Parts& all = GetParam().second;
  for (const bool down : {true, false}) {
    const TempDir dir;
    const ImageChain chain(dir.path(), Parts(all.begin(), all.begin() + 3));
    const auto before = disk_of(chain[0]);
    MergeArgs args = merge_of(chain[down ? 0 : 1]);
    args.threads = 1;
    // One that looks at what the image it stands on holds.
    if (!down) args.children = {chain[0]};
    int patience = 0;
    for (bool done = false; !done; patience += patience < 4 ? 1 : 11) {
      LosesPatience progress(patience);
      const auto merged = down ? merge_down(args, progress) : merge_up(args, progress);
      done = merged.has_value();
      ASSERT_TRUE(done || merged.error().code() == Errc::cancelled) << merged.error().message();
      const std::string& top = done && down ? chain[1] : chain[0];
      EXPECT_EQ(fault_of(top), "") << patience;
      EXPECT_TRUE(same(disk_of(top), before)) << patience;
    }
    EXPECT_GT(patience, 3);
  }
}

INSTANTIATE_TEST_SUITE_P(Mixed, MergedChain, testing::ValuesIn(mixed_chains()),
                         [](const auto& test) { return test.param.first; });

// Everything in a directory, by name.
std::map<std::string, std::string> all_files(const TempDir& dir) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(dir.path())) {
    if (entry.is_regular_file()) files[entry.path().string()] = test::read_file(entry.path());
  }
  return files;
}

// The message; the images stay as they were.
std::string why_refused(const TempDir& dir, const MergeArgs& args, bool down = true) {
  const auto before = all_files(dir);
  NoProgress progress;
  const auto merged = down ? merge_down(args, progress) : merge_up(args, progress);
  EXPECT_TRUE(all_files(dir) == before);
  return merged ? "" : merged.error().message();
}

const Parts kThree = {{"qcow2"}, {"qcow2"}, {"qcow2"}};

TEST(Merge, NeedsAParent) {
  const TempDir dir;
  const ImageChain chain(dir.path(), {{"qcow2"}});
  EXPECT_THAT(why_refused(dir, merge_of(chain[0])), HasSubstr("has no parent"));
  EXPECT_THAT(why_refused(dir, merge_of(chain[0]), false), HasSubstr("has no parent"));
}

TEST(Merge, TakesNoAncestorThatIsNone) {
  const TempDir dir;
  const ImageChain chain(dir.path(), kThree);
  EXPECT_THAT(why_refused(dir, merge_of(chain[1], chain[0])), HasSubstr("does not stand on"));
  EXPECT_THAT(why_refused(dir, merge_of(chain[1], chain[1])), HasSubstr("does not stand on"));
  EXPECT_THAT(why_refused(dir, merge_of(chain[0], chain[1]), false), HasSubstr("already"));
}

TEST(Merge, TakesNoChildThatIsNone) {
  const TempDir dir;
  const ImageChain chain(dir.path(), kThree);
  MergeArgs args = merge_of(chain[0]);
  args.children = {chain[1]};
  EXPECT_THAT(why_refused(dir, args), HasSubstr("is not its parent"));
}

TEST(MergeDown, IsRefusedWhileOthersStandOnWhatWouldChangeOrGo) {
  for (const std::string format : {"qcow2", "vdi", "vhd"}) {
    const TempDir dir;
    fs::create_directory(dir / "Snapshots");
    const ImageChain chain(dir.path(), {{format}, {format}, {format}});
    for (const size_t depth : {0u, 1u, 2u}) {
      // VirtualBox keeps children in that directory.
      const std::string name = depth == 1 ? "other" : "Snapshots/other";
      const std::string other = chain.add_child(depth, {format}, name);
      const std::string why = why_refused(dir, merge_of(chain[0], chain[2]));
      EXPECT_THAT(why, HasSubstr("other." + format + " stands on it, too")) << format << depth;
      EXPECT_THAT(why, HasSubstr(chain[depth])) << format << depth;
      fs::remove(other);
    }
    EXPECT_EQ(why_refused(dir, merge_of(chain[0], chain[0])),
              chain[0] + ": does not stand on " + chain[0]);
  }
}

TEST(MergeUp, IsRefusedWhileOthersWouldSeeThatItWasWritten) {
  for (const std::string format : {"vdi", "vmdk", "vhdx"}) {
    const TempDir dir;
    const ImageChain chain(dir.path(), {{format}, {format}, {format}});
    EXPECT_THAT(why_refused(dir, merge_of(chain[1]), false), HasSubstr("stands on it, too"))
        << format;
    MergeArgs args = merge_of(chain[1]);
    args.children = {chain[0]};
    NoProgress progress;
    const auto before = disk_of(chain[0]);
    ASSERT_TRUE(merge_up(args, progress));
    EXPECT_TRUE(same(disk_of(chain[0]), before)) << format;
    // It looks again.
    test::write_pieces(chain[1], 5);
    EXPECT_THAT(fault_of(chain[0]), HasSubstr("was changed after this image was made")) << format;
  }
}

TEST(MergeUp, DeletesNothingThatOthersStandOn) {
  const TempDir dir;
  const ImageChain chain(dir.path(), kThree);
  chain.add_child(2, {"qcow2"}, "other");
  MergeArgs args = merge_of(chain[0]);
  args.remove = true;
  EXPECT_THAT(why_refused(dir, args, false), HasSubstr("stands on it, too"));
  args.remove = false;
  NoProgress progress;
  const auto merged = merge_up(args, progress);
  ASSERT_TRUE(merged) << merged.error().message();
  EXPECT_TRUE(fs::exists(chain[1]));
}

TEST(MergeDown, LooksAtTheParentAgainWhenNothingComesOfIt) {
  for (const std::string format : {"vdi", "vmdk", "vhdx"}) {
    const TempDir dir;
    const ImageChain chain(dir.path(), {{format}, {format}});
    LosesPatience progress(3);
    const auto merged = merge_down(merge_of(chain[0]), progress);
    ASSERT_FALSE(merged);
    EXPECT_EQ(fault_of(chain[0]), "");
    test::write_pieces(chain[1], 5);
    EXPECT_THAT(fault_of(chain[0]), HasSubstr("was changed after this image was made")) << format;
  }
}

TEST(MergeDown, GrowsTheAncestorAndLeavesNothingOfItBehindASmallerDisk) {
  for (const std::string format : {"raw", "qcow2", "vdi", "vmdk", "vhdx"}) {
    for (const uint64_t size : {2 * MiB, 9 * MiB}) {
      const TempDir dir;
      const ImageChain chain(dir.path(), {{format, "", 5 * MiB}, {"qcow2", "", size}});
      // Behind the end of what it stands on it has zeroes.
      const std::string child = chain.add_child(0, {"qcow2", "", 10 * MiB}, "child");
      const auto before = disk_of(child);
      MergeArgs args = merge_of(chain[0]);
      args.children = {child};
      args.ancestor_format = format == "raw" ? "raw" : "";
      NoProgress progress;
      const auto merged = merge_down(args, progress);
      ASSERT_TRUE(merged) << format << merged.error().message();
      EXPECT_TRUE(same(disk_of(child), before)) << format << size;
      auto disk = disk_of(chain[1]);
      EXPECT_EQ(disk.size(), merged->size);
      // Some cannot be cut.
      EXPECT_EQ(merged->size, std::max(size, format == "vmdk" || format == "vdi" ? 5 * MiB : 0))
          << format;
    }
  }
}

TEST(MergeDown, IsRefusedWhereTheAncestorCannotGrow) {
  const TempDir dir;
  const ImageChain chain(dir.path(),
                         {{"raw"}, {"qcow", "cluster_size=512", 2 * MiB}, {"qcow2", "", 3 * MiB}});
  NoProgress progress;
  const auto before = disk_of(chain[0]);
  const auto merged = merge_down(merge_of(chain[0]), progress);
  ASSERT_FALSE(merged);
  EXPECT_TRUE(same(disk_of(chain[0]), before));
}

TEST(MergeDown, DeletesAllFilesOfASplitImage) {
  const TempDir dir;
  const ImageChain chain(dir.path(), {{"vmdk"}, {"vmdk", "subformat=twoGbMaxExtentSparse"}});
  ASSERT_GT(all_files(dir).size(), 2u);
  NoProgress progress;
  const auto merged = merge_down(merge_of(chain[0]), progress);
  ASSERT_TRUE(merged) << merged.error().message();
  EXPECT_EQ(all_files(dir).size(), 1u);
  EXPECT_THAT(merged->deleted, ElementsAre(chain[0]));
}

TEST(MergeDown, DeletesNoFileThatThoseWhichStayAreMadeOf) {
  const TempDir dir;
  const ImageChain chain(dir.path(), {{"vmdk", "subformat=monolithicFlat"}, {"vmdk"}});
  // An image that says the other one's data is its own.
  std::string descriptor = test::read_file(chain[1]);
  const std::string none = "parentCID=ffffffff",
                    cid = descriptor.substr(descriptor.find("CID=") + 4, 8);
  descriptor.replace(descriptor.find(none), none.size(),
                     "parentCID=" + cid + "\nparentFileNameHint=\"0.vmdk\"");
  test::write_file(chain[0], std::string_view(descriptor));
  EXPECT_THAT(why_refused(dir, merge_of(chain[0])), HasSubstr("a file of it is one of"));
}

TEST(MergeDown, LosesNoSnapshots) {
  const TempDir dir;
  const ImageChain chain(dir.path(), kThree);
  {
    const auto container = Container::open(chain[0], {.access = Access::write});
    ASSERT_TRUE(container);
    ASSERT_TRUE((*container)->change_snapshots({.name = "kept"}));
  }
  EXPECT_THAT(why_refused(dir, merge_of(chain[0])),
              HasSubstr("1 internal snapshot, which would be lost"));
  EXPECT_THAT(why_refused(dir, merge_of(chain[0]), false), HasSubstr("which need its parents"));
}

TEST(MergeDown, KeepsWhatIsEncryptedSo) {
  const TempDir dir;
  const ImageChain chain(dir.path(), {{"qcow2"}});
  const std::string secret = dir / "secret.qcow2";
  const auto parent =
      describe_parent({.path = chain[0], .child = secret, .child_format = find_format("qcow2")});
  ASSERT_TRUE(parent);
  ASSERT_TRUE(create_image({.path = secret,
                            .format = *find_format("qcow2"),
                            .size = parent->size,
                            .options = {{"encrypt.format", "luks"}, {"encrypt.iter-time", "1"}},
                            .parent = parent->link,
                            .keys = test::test_keys()}));
  MergeArgs args = merge_of(secret);
  args.keys = test::test_keys();
  EXPECT_THAT(why_refused(dir, args), HasSubstr("is encrypted"));
  NoProgress progress;
  EXPECT_TRUE(merge_up(args, progress));
}

TEST(MergeDown, WaitsForNobodyWhoUsesAnImageOfTheChain) {
  const TempDir dir;
  const ImageChain chain(dir.path(), kThree);
  for (size_t depth = 0; depth < 3; ++depth) {
    const auto user = Container::open(chain[depth], {.lock = true});
    ASSERT_TRUE(user);
    NoProgress progress;
    const auto merged = merge_down(merge_of(chain[0], chain[2]), progress);
    ASSERT_FALSE(merged);
    EXPECT_EQ(merged.error().code(), Errc::busy);
  }
}

TEST(MergeDown, WritesNoFileThatIsOnlyTakenForARawDisk) {
  const TempDir dir;
  test::write_file(dir / "base.img", std::string(1 << 20, 'x'));
  ASSERT_TRUE(create_image({.path = dir / "top.qcow2",
                            .format = *find_format("qcow2"),
                            .size = MiB,
                            .parent = ParentLink{.reference = "base.img"}}));
  MergeArgs args = merge_of(dir / "top.qcow2");
  EXPECT_THAT(why_refused(dir, args), HasSubstr("taken for raw"));
  args.ancestor_format = "raw";
  NoProgress progress;
  EXPECT_TRUE(merge_down(args, progress));
}

}  // namespace
}  // namespace platter
