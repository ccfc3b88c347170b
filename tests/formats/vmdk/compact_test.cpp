#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/vmdk/vmdk_disk.h"
#include "tests/support/bytes.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vmdk {
namespace {

using test::kVmdkRedundantTable;
using test::kVmdkTable;
using test::vmdk_entries;
using test::vmdk_text;
using test::VmdkBuilder;
using test::VmdkDisk;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kGrain = 4096;

Result<void> compact_vmdk(const FilePtr& file, const std::map<std::string, FilePtr>& others = {}) {
  Epochs epochs;
  NoProgress nobody;
  const auto image = TRY(test::open_writable_vmdk(file, epochs, others, true));
  return image->compact(nobody);
}

void clear_grain(File& file, uint64_t sector) {
  ASSERT_TRUE(file.write(sector * 512, std::vector<std::byte>(kGrain)));
}

std::vector<std::byte> bytes_of_vmdk(const File& file) {
  std::vector<std::byte> bytes(file.stat()->size);
  EXPECT_TRUE(file.read_exact(0, bytes));
  return bytes;
}

void expect_nothing_left(const FilePtr& file) {
  const CheckReport report = test::check_vmdk(file);
  EXPECT_EQ(report.corruptions + report.leaks, 0u);
  EXPECT_EQ(test::vmdk_mark(*file), 0);
}

// The grain at 40 leaked, the one at 32 is zero.
TEST(VmdkCompact, LeavesTheGrainsThatHoldSomethingInTheOrderOfTheDisk) {
  const auto file = VmdkBuilder{.table = {56, 48, 0, 32}, .data = {0x10, 0x20, 0x30, 0x40}}.file();
  clear_grain(*file, 32);
  const auto before = test::sectors_of(file);
  const auto head = bytes_of_vmdk(*file);
  ASSERT_TRUE(compact_vmdk(file));
  EXPECT_EQ(test::sectors_of(file), before);
  for (const uint64_t table : {kVmdkTable, kVmdkRedundantTable}) {
    EXPECT_THAT(vmdk_entries(*file, table, 4), ElementsAre(32, 40, 0, 0));
  }
  EXPECT_EQ(file->stat()->size, 48u * 512);
  // Header and descriptor, by which its children know it.
  const auto after = bytes_of_vmdk(*file);
  EXPECT_TRUE(std::equal(after.begin(), after.begin() + 22 * 512, head.begin()));
  expect_nothing_left(file);
}

TEST(VmdkCompact, OfAChildKeepsZeroesThatHideTheParent) {
  const std::string hint = "parentFileNameHint=\"b.vmdk\"\n";
  const VmdkBuilder plain{.more_lines = hint, .table = {40, 32}, .data = {0x10, 0x20}};
  VmdkBuilder zeroed = plain;
  zeroed.version = 2;
  zeroed.flags = 7;
  for (const VmdkBuilder& builder : {plain, zeroed}) {
    const auto file = builder.file();
    clear_grain(*file, 32);
    ASSERT_TRUE(compact_vmdk(file));
    if (builder.version == 2) {
      EXPECT_THAT(vmdk_entries(*file, kVmdkTable, 2), ElementsAre(32, 1));
      EXPECT_EQ(file->stat()->size, 40u * 512);
    } else {
      EXPECT_THAT(vmdk_entries(*file, kVmdkTable, 2), ElementsAre(40, 32));
      EXPECT_EQ(file->stat()->size, 48u * 512);
    }
    expect_nothing_left(file);
  }
}

// What bytes of the disk are.
using Seen = std::map<uint64_t, int>;

void expect_bytes(const FilePtr& file, const Seen& wanted) {
  const auto image = test::open_vmdk(file);
  ASSERT_TRUE(image) << image.error().message();
  BlockCache blocks(64 * KiB);
  const View view({{image->get(), 0}}, blocks);
  for (const auto& [at, value] : wanted) {
    std::byte seen{};
    ASSERT_TRUE(view.read(at, MutableBytes(&seen, 1)));
    EXPECT_EQ(std::to_integer<int>(seen), value) << at;
  }
}

// Power is lost before each sync and each cut, and before some of the writes.
void compact_while_power_is_lost(const File& start, const Seen& wanted) {
  std::mt19937_64 random(1);
  const auto crashing = std::make_shared<test::CrashFile>(start);
  uint64_t writes = 0;
  const auto look = [&](test::Call call) -> Result<void> {
    if (call == test::Call::read || (call == test::Call::write && writes++ % 64 != 0)) return {};
    for (int i = 0; i < 4; ++i) {
      const auto after = crashing->crash(random);
      EXPECT_EQ(test::check_vmdk(after).corruptions, 0u);
      expect_bytes(after, wanted);
    }
    return {};
  };
  ASSERT_TRUE(compact_vmdk(std::make_shared<test::WrappedFile>(crashing, look)));
  for (int i = 0; i < 4; ++i) {
    const auto after = crashing->crash(random);
    EXPECT_EQ(after->stat()->size, crashing->stat()->size);
    expect_nothing_left(after);
    expect_bytes(after, wanted);
  }
}

// Behind the grains of a disk that has grown lie its new tables, and its directories.
class GrownVmdk {
 public:
  static constexpr uint64_t kTables = 140;         // more than a sector of a directory has
  static constexpr uint64_t kSpan = 128 * kGrain;  // guest bytes of one
  static constexpr uint64_t kGrains = 100;

  GrownVmdk() {
    VmdkBuilder builder{.capacity = 128 * 8, .per_table = 128};
    for (uint32_t i = 0; i < kGrains; ++i) {
      builder.table.push_back(32 + 8 * i);
      builder.data.push_back(0x10);
    }
    file = builder.file();
    Epochs epochs;
    const auto image = test::open_writable_vmdk(file, epochs);
    EXPECT_TRUE(image && (*image)->resize(kTables * kSpan));
  }
  void discard(uint64_t grains) const {
    VmdkDisk disk(file);
    EXPECT_TRUE(disk.writer().discard({kGrain, grains * kGrain}));
    EXPECT_TRUE(disk.writer().close());
  }
  // The head, so many grains, 2 * 139 tables, and both directories.
  static uint64_t size_with(uint64_t grains) { return (4 + grains + 35 + 1) * kGrain; }

  std::shared_ptr<MemoryFile> file;
};

TEST(VmdkCompact, BringsDirectoriesForward) {
  const GrownVmdk grown;
  grown.discard(1);
  compact_while_power_is_lost(*grown.file, {{0, 0x10}, {kGrain, 0}, {2 * kGrain, 0x10}});
  ASSERT_TRUE(compact_vmdk(grown.file));
  EXPECT_EQ(grown.file->stat()->size, GrownVmdk::size_with(99));
}

TEST(VmdkCompact, BringsTablesForward) {
  const GrownVmdk grown;
  grown.discard(99);
  compact_while_power_is_lost(*grown.file, {{0, 0x10}, {kGrain, 0}, {GrownVmdk::kSpan, 0}});
  ASSERT_TRUE(compact_vmdk(grown.file));
  EXPECT_EQ(grown.file->stat()->size, GrownVmdk::size_with(1));
}

TEST(VmdkCompact, BringsTablesAndWhatIsBehindThemForward) {
  const GrownVmdk grown;
  const uint64_t last = GrownVmdk::kTables * GrownVmdk::kSpan - kGrain;
  {
    VmdkDisk disk(grown.file);
    ASSERT_TRUE(disk.fill({last, kGrain}, 9));
    ASSERT_TRUE(disk.writer().close());
  }
  grown.discard(90);
  compact_while_power_is_lost(*grown.file,
                              {{0, 0x10}, {kGrain, 0}, {95 * kGrain, 0x10}, {last, 9}});
  ASSERT_TRUE(compact_vmdk(grown.file));
  EXPECT_EQ(grown.file->stat()->size, GrownVmdk::size_with(11));
}

// As others leave it: no table is there before there is a grain for it.
TEST(VmdkCompact, DropsTablesThatSayNothingWhereTheyMayBeMissing) {
  VmdkBuilder builder{.capacity = 3 * 512 * 8};
  builder.words = {{21 * 512, 0}, {26 * 512, 0}};
  const auto file = builder.file();
  constexpr uint64_t kSecond = 512 * kGrain;  // where the second table begins
  {
    VmdkDisk disk(file);
    ASSERT_TRUE(disk.fill({0, kGrain}, 7));
    ASSERT_TRUE(disk.fill({kSecond, kGrain}, 8));
    ASSERT_TRUE(disk.writer().discard({0, kGrain}));
    ASSERT_TRUE(disk.writer().close());
  }
  compact_while_power_is_lost(*file, {{0, 0}, {kSecond, 8}});
  ASSERT_TRUE(compact_vmdk(file));
  for (const uint64_t directory : {uint64_t{21} * 512, uint64_t{26} * 512}) {
    EXPECT_EQ(test::word_at(*file, directory), 0u);
    EXPECT_NE(test::word_at(*file, directory + 4), 0u);
  }
  // The head, a pair of tables, and a grain.
  EXPECT_EQ(file->stat()->size, (4 + 1 + 1) * kGrain);
  expect_bytes(file, {{0, 0}, {kSecond, 8}});
}

// Cancels when it has been asked so often.
class CancelledAt final : public Progress {
 public:
  explicit CancelledAt(int questions) : left_(questions) {}
  void advance(uint64_t /*done*/, uint64_t /*total*/) override {}
  bool cancelled() const override { return --left_ < 0; }

 private:
  mutable int left_;
};

// The mark of a writer goes, and no crash leaves two tables that differ without it.
TEST(VmdkCompact, MayBeCancelledBetweenTwoTables) {
  VmdkBuilder builder{.capacity = 2 * 512 * 8};
  builder.words = {{21 * 512, 0}, {26 * 512, 0}};
  const auto start = builder.file();
  constexpr uint64_t kSecond = 512 * kGrain;
  {
    VmdkDisk disk(start);
    ASSERT_TRUE(disk.fill({0, 4 * kGrain}, 7));
    ASSERT_TRUE(disk.fill({kSecond, 2 * kGrain}, 8));
    ASSERT_TRUE(disk.fill({kGrain, kGrain}, 0));
    ASSERT_TRUE(disk.writer().close());
  }
  std::mt19937_64 random(1);
  bool cancelled = true;
  for (int questions = 0; cancelled; ++questions) {
    const auto file = std::make_shared<test::CrashFile>(*start);
    CancelledAt progress(questions);
    Epochs epochs;
    const auto image = test::open_writable_vmdk(file, epochs, {}, true);
    ASSERT_TRUE(image);
    const Result<void> done = (*image)->compact(progress);
    cancelled = !done;
    ASSERT_TRUE(done || done.error().code() == Errc::cancelled) << done.error().message();
    for (int i = 0; i < 8; ++i) {
      const auto after = file->crash(random);
      EXPECT_EQ(test::vmdk_mark(*after), 0);
      EXPECT_EQ(test::check_vmdk(after).corruptions, 0u);
      expect_bytes(after, {{0, 7}, {kGrain, 0}, {2 * kGrain, 7}, {kSecond, 8}});
    }
  }
}

void expect_refused_vmdk(const FilePtr& file, const std::map<std::string, FilePtr>& others,
                         Errc code, const std::string& why) {
  const auto before = bytes_of_vmdk(*file);
  const auto done = compact_vmdk(file, others);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), code) << done.error().message();
  EXPECT_THAT(done.error().message(), HasSubstr(why));
  EXPECT_EQ(bytes_of_vmdk(*file), before);
}

TEST(VmdkCompact, RefusesWhatHasNothingToGiveBack) {
  const auto flat = std::make_shared<MemoryFile>("flat", std::vector<std::byte>(512));
  const std::string text = vmdk_text("monolithicFlat", {"RW 1 FLAT \"flat\" 0"});
  expect_refused_vmdk(std::make_shared<MemoryFile>("a.vmdk", test::bytes_of(text)),
                      {{"flat", flat}}, Errc::unsupported,
                      "a flat VMDK keeps a place for every byte");
  VmdkBuilder stream{.version = 3, .flags = 0x30001, .compression = 1};
  expect_refused_vmdk(stream.file(), {}, Errc::unsupported, "compressed");
}

TEST(VmdkCompactAttack, RefusesTablesThatAreNotSound) {
  expect_refused_vmdk(VmdkBuilder{.table = {32, 32}, .data = {1}}.file(), {}, Errc::corrupt,
                      "repair it");
  expect_refused_vmdk(
      VmdkBuilder{.table = {32}, .redundant_table = std::vector<uint32_t>{40}, .data = {1, 2}}
          .file(),
      {}, Errc::corrupt, "repair it");
  expect_refused_vmdk(VmdkBuilder{.table = {33}, .data = {1, 2}}.file(), {}, Errc::unsupported,
                      "not aligned");
}

}  // namespace
}  // namespace platter::vmdk
