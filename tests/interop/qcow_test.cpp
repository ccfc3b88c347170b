// qcow images of version 1 that Platter and QEMU write in turns: after each turn both must read
// what a model says.
#include <random>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/ops/amend.h"
#include "lib/ops/check.h"
#include "lib/ops/child.h"
#include "lib/ops/create.h"
#include "tests/interop/turns.h"
#include "tests/support/qemu.h"
#include "tests/support/rounds.h"

namespace platter::test {
namespace {

struct Variant {
  std::string name;
  uint64_t size = 0;     // of the disk
  bool backing = false;  // over a raw file, shorter than the disk
  bool ours = false;     // made by us
  uint64_t cluster = 4096;
};

// As `platter create` does it.
Result<void> create(const std::string& path, uint64_t size, const Options& options,
                    const std::string& parent = "", const std::string& parent_format = "") {
  const Format& format = *find_format("qcow");
  CreateArgs args{.path = path, .format = format, .size = size, .options = options};
  if (!parent.empty()) {
    const NewParent described = TRY(describe_parent(
        {.path = parent, .format = parent_format, .child = path, .child_format = &format}));
    if (size == 0) args.size = described.size;
    args.parent = described.link;
  }
  return create_image(args);
}

class QcowWrittenInTurns : public testing::TestWithParam<Variant> {
 protected:
  void SetUp() override { REQUIRE_QEMU(); }
  void make_image();
  void our_turn();
  void qemus_turn();
  void expect_agreement();

  // Whether nothing was written to any of it so far; from now on something was.
  bool fresh(const Range& range) {
    bool none = true;
    for (uint64_t at = align_down(range.offset, 512); at < range.end(); at += 512) {
      none = written_.insert(at).second && none;
    }
    return none;
  }

  TempDir dir_;
  std::mt19937_64 random_;
  std::string model_;
  std::set<uint64_t> written_;  // sectors
};

void QcowWrittenInTurns::make_image() {
  const Variant& v = GetParam();
  model_.assign(v.size, '\0');
  written_.clear();
  MUST_RUN(dir_, "rm -f x.qcow");
  std::string parent;
  if (v.backing) {
    write_file(dir_ / "base.raw", make_parent(model_));
    parent = "-b base.raw -F raw";
  }
  if (!v.ours) {
    MUST_RUN(dir_, fmt::format("qemu-img create -q -f qcow {} x.qcow {}", parent, v.size));
    return;
  }
  const auto made = create(dir_ / "x.qcow", v.size, {{"cluster_size", std::to_string(v.cluster)}},
                           v.backing ? dir_ / "base.raw" : "", v.backing ? "raw" : "");
  ASSERT_TRUE(made) << made.error().message();
}

void QcowWrittenInTurns::our_turn() {
  auto container = Container::open(dir_ / "x.qcow", {.access = Access::write});
  ASSERT_TRUE(container) << container.error().message();
  Writer& writer = *(*container)->writer();
  for (int i = 0; i < 30; ++i) {
    const Result<void> done = change_at_random(writer, random_, model_,
                                               [this](const Range& range) { (void)fresh(range); });
    ASSERT_TRUE(done) << done.error().message();
  }
  const Result<void> closed = writer.close();
  ASSERT_TRUE(closed) << closed.error().message();
}

void QcowWrittenInTurns::qemus_turn() {
  std::string script;
  for (int i = 0; i < 12; ++i) {
    Range range = draw_sectors(random_, model_.size());
    const auto value = static_cast<unsigned char>(1 + random_() % 255);
    const char* how = "";
    const bool one = random_() % 3 == 0;
    if (one) range = align_out({range.offset, 1}, GetParam().cluster);
    // QEMU refuses to compress a cluster that the disk ends in, and writes the stream of one that
    // has a place over the bytes there, without saying that it is one.
    const bool whole = range.end() <= model_.size();
    range.length = std::min(range.length, model_.size() - range.offset);
    if (fresh(range) && one && whole) how = "-c ";
    std::fill_n(model_.begin() + static_cast<long>(range.offset), range.length,
                static_cast<char>(value));
    script += fmt::format(" -c 'write {}-P {} {} {}'", how, value, range.offset, range.length);
  }
  MUST_RUN(dir_, "qemu-io -f qcow" + script + " x.qcow");
}

void QcowWrittenInTurns::expect_agreement() {
  MUST_RUN(dir_, "qemu-img convert -f qcow -O raw x.qcow qemu.raw");
  ASSERT_TRUE(read_file(dir_ / "qemu.raw") == model_);
  const auto container = Container::open(dir_ / "x.qcow");
  ASSERT_TRUE(container) << container.error().message();
  std::string seen(model_.size(), 'x');
  ASSERT_TRUE((*container)->live()->read(0, std::as_writable_bytes(std::span(seen))));
  ASSERT_TRUE(seen == model_);
  const auto report = check_image({.path = dir_ / "x.qcow"});
  ASSERT_TRUE(report) << report.error().message();
  ASSERT_EQ(report->corruptions, 0u) << report->messages[0];
}

TEST_P(QcowWrittenInTurns, ReadsTheSameToBoth) {
  for (unsigned seed = 0; seed < rounds(2); ++seed) {
    random_.seed(seed);
    ASSERT_NO_FATAL_FAILURE(make_image());
    for (int turn = 0; turn < 3; ++turn) {
      ASSERT_NO_FATAL_FAILURE(our_turn());
      ASSERT_NO_FATAL_FAILURE(expect_agreement());
      ASSERT_NO_FATAL_FAILURE(qemus_turn());
      ASSERT_NO_FATAL_FAILURE(expect_agreement());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Images, QcowWrittenInTurns,
                         testing::Values(Variant{"base", 3 * MiB + 512},
                                         Variant{"child", 3 * MiB, true, false, 512},
                                         Variant{"our_base", 3 * MiB + 512, false, true},
                                         Variant{"our_base_64k", 3 * MiB, false, true, 65536},
                                         Variant{"our_child", MiB + 1024, true, true, 512}),
                         [](const auto& test) { return test.param.name; });

TEST(QcowGrown, IsReadAndWrittenByQemu) {
  REQUIRE_QEMU();
  const TempDir dir;
  MUST_RUN(dir, "qemu-img create -q -f qcow x.qcow 3M && qemu-io -c 'write -P 7 2M 64k' x.qcow");
  {
    auto container = Container::open(dir / "x.qcow", {.access = Access::write});
    ASSERT_TRUE(container) << container.error().message();
    ASSERT_TRUE((*container)->writer()->grow(900 * MiB));
    ASSERT_TRUE((*container)->writer()->close());
  }
  MUST_RUN(dir,
           "qemu-io -c 'read -P 7 2M 64k' -c 'read -P 0 3M 64k' -c 'write -P 9 800M 5000' x.qcow");
  auto container = Container::open(dir / "x.qcow");
  ASSERT_TRUE(container) << container.error().message();
  std::byte last{};
  ASSERT_TRUE((*container)->live()->read(800 * MiB + 4999, MutableBytes(&last, 1)));
  EXPECT_EQ(last, std::byte{9});
  EXPECT_EQ(check_image({.path = dir / "x.qcow"})->corruptions, 0u);
}

// What a child does not say of its parent has to be found out by whoever opens it.
TEST(QcowChild, OfAParentThatWouldBeTakenForAnotherIsRefused) {
  REQUIRE_QEMU();
  const TempDir dir;
  MUST_RUN(dir, "qemu-img create -q -f qcow2 base.qcow2 1M");
  const auto raw = create(dir / "x.qcow", 0, {}, dir / "base.qcow2", "raw");
  ASSERT_FALSE(raw);
  EXPECT_NE(raw.error().message().find("would be taken for qcow2"), std::string::npos);
  ASSERT_TRUE(create(dir / "x.qcow", 0, {}, dir / "base.qcow2"));
  const auto second = create(dir / "y.qcow", 0, {}, dir / "x.qcow");
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message().find("would not be opened"), std::string::npos);
  EXPECT_NE(run(dir, "test -e y.qcow"), 0);
}

class AmendedImage : public testing::TestWithParam<std::string> {};

TEST_P(AmendedImage, IsSoundToQemuAndReadsAsBefore) {
  REQUIRE_QEMU();
  const TempDir dir;
  write_file(dir / "base.raw", std::string(MiB, 'b'));
  MUST_RUN(dir, "qemu-img create -q -f qcow2 " + GetParam() + " x.qcow2 1M");
  MUST_RUN(dir,
           "qemu-io -c 'write -P 1 100k 300k' -c 'write -c -P 2 512k 64k' -c 'write -P 3 900k 7k' "
           "-c 'write -z 128k 128k' -c 'write -z -u 700k 100k' x.qcow2 && "
           "qemu-img convert -O raw x.qcow2 before.raw");
  for (const char* compat : {"0.10", "1.1", "0.10", "1.1"}) {
    const auto done = amend_image({.path = dir / "x.qcow2", .options = {{"compat", compat}}});
    ASSERT_TRUE(done) << done.error().message();
    MUST_RUN(dir, fmt::format("qemu-img check -q x.qcow2 && qemu-img info x.qcow2 | grep -q "
                              "'compat: {}' && qemu-img compare -q -F raw x.qcow2 before.raw",
                              compat));
  }
  // And as QEMU amends it.
  MUST_RUN(dir, "qemu-img amend -o compat=0.10 x.qcow2 && qemu-img check -q x.qcow2");
  ASSERT_TRUE(amend_image({.path = dir / "x.qcow2", .options = {{"compat", "1.1"}}}));
  MUST_RUN(dir, "qemu-img check -q x.qcow2 && qemu-img compare -q -F raw x.qcow2 before.raw");
}

INSTANTIATE_TEST_SUITE_P(Options, AmendedImage,
                         testing::Values("-o cluster_size=64k", "-o cluster_size=512",
                                         "-o lazy_refcounts=on", "-o compat=0.10",
                                         "-b base.raw -F raw",
                                         "-b base.raw -F raw -o cluster_size=1k"));

}  // namespace
}  // namespace platter::test
