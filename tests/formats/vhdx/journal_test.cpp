// The order of the steps in which a change reaches the disk, with power lost and calls failing
// between them.
#include "formats/vhdx/journal.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "formats/vhdx/log.h"
#include "formats/vhdx/parse.h"
#include "formats/vhdx/replayed_file.h"
#include "tests/formats/vhdx/vhdx_disk.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vhdx {
namespace {

using test::Call;
using test::CrashFile;
using test::VhdxBuilder;
using test::WrappedFile;

constexpr uint64_t kPages = 5;

// Pages full of one value, some side by side.
Table::Pages pages_of(int value) {
  Table::Pages pages;
  for (uint64_t i = 0; i < kPages; ++i) {
    pages.push_back({kData + 4096 * (i < 3 ? i : 2 * i),
                     std::vector<std::byte>(4096, static_cast<std::byte>(value))});
  }
  return pages;
}

// What all of the pages are full of, as a reader sees them; -1: they differ, -2: it does not open.
int value_in(const FilePtr& file) {
  const auto headers = read_headers(*file);
  if (!headers) return -2;
  FilePtr shown = file;
  if (!headers->current.log.is_nil()) {
    const auto replay = read_log(*file, headers->current);
    if (!replay) return -2;
    shown = std::make_shared<ReplayedFile>(file, *replay, file->stat()->size);
  }
  std::vector<std::byte> seen(4096);
  int value = -3;
  for (const Table::Page& page : pages_of(0)) {
    if (!shown->read_padded(page.offset, seen)) return -2;
    const int here = std::to_integer<int>(seen[0]);
    const bool whole = std::all_of(seen.begin(), seen.end(), [&](auto b) { return b == seen[0]; });
    if (!whole || (value >= 0 && value != here)) return -1;
    value = here;
  }
  return value;
}

std::shared_ptr<CrashFile> file_with_room() {
  VhdxBuilder builder;
  builder.file_size = kData + MiB;
  return std::make_shared<CrashFile>(*builder.file());
}

TEST(VhdxJournal, LeavesAllOfAChangeOrNothingWhenPowerIsLost) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    std::mt19937_64 random(seed);
    const auto memory = file_with_room();
    int before = 0, after = 0;
    const auto file = std::make_shared<WrappedFile>(memory, [&](Call call) -> Result<void> {
      const int value = call == Call::read ? before : value_in(memory->crash(random));
      EXPECT_TRUE(value == before || value == after) << value;
      return {};
    });
    Journal journal(file, *read_headers(*memory));
    for (after = 1; after < 5; ++after) {
      ASSERT_TRUE(journal.commit(pages_of(after), kData + MiB));
      ASSERT_TRUE(file->sync());
      before = after;
      ASSERT_EQ(value_in(memory->crash(random)), after);
    }
  }
}

TEST(VhdxJournal, GoesOnAfterAnyCallHasFailed) {
  for (uint64_t n = 1;; ++n) {
    std::mt19937_64 random(n);
    const auto memory = file_with_room();
    test::FailAt fail(n, 5);
    bool looking = false;
    const auto failing = fail.hook();
    const auto file = std::make_shared<WrappedFile>(memory, [&](Call call) -> Result<void> {
      if (looking && call != Call::read) {
        const int value = value_in(memory->crash(random));
        EXPECT_TRUE(value >= 0 && value <= 3) << value << " call " << n;
      }
      return failing(call);
    });
    Journal journal(file, *read_headers(*memory));
    const bool first = journal.commit(pages_of(1), kData + MiB) && file->sync();
    if (!fail.fired()) break;
    const int now = value_in(memory->crash(random));
    EXPECT_TRUE(now == 0 || now == 1) << now;
    EXPECT_TRUE(!first || now == 1);
    if (fail.sync_failed()) {
      EXPECT_FALSE(journal.commit(pages_of(2), kData + MiB));
      const int later = value_in(memory->crash(random));
      EXPECT_TRUE(later == 0 || later == 1 || later == 2) << later;
      continue;
    }
    looking = true;
    for (int value = 2; value < 4; ++value) {
      ASSERT_TRUE(file->sync());
      ASSERT_TRUE(journal.commit(pages_of(value), kData + MiB));
    }
    ASSERT_TRUE(file->sync());
    EXPECT_EQ(value_in(memory->crash(random)), 3);
    ASSERT_FALSE(HasFailure()) << "call " << n;
  }
}

// The n-th write says that it has failed, and has been done.
class LateFailure final : public File {
 public:
  LateFailure(FilePtr file, uint64_t n) : file_(std::move(file)), n_(n) {}
  const std::string& name() const override { return file_->name(); }
  Result<FileStat> stat() const override { return file_->stat(); }
  Result<void> write(uint64_t offset, Bytes data) override {
    TRY(file_->write(offset, data));
    return ++count_ == n_ ? Error(Errc::io, "injected") : Result<void>();
  }
  Result<void> resize(uint64_t size) override { return file_->resize(size); }
  Result<void> sync() override { return file_->sync(); }
  bool failed() const { return count_ >= n_; }

 private:
  Result<size_t> read_some(uint64_t offset, MutableBytes out) const override {
    return file_->read_available(offset, out);
  }
  const FilePtr file_;
  const uint64_t n_;
  uint64_t count_ = 0;
};

TEST(VhdxJournal, GoesOnAfterAWriteThatSaidItHadFailed) {
  for (uint64_t n = 1;; ++n) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      std::mt19937_64 random(seed);
      const auto memory = file_with_room();
      const auto looked = std::make_shared<WrappedFile>(memory, [&](Call call) -> Result<void> {
        const int value = call == Call::read ? 0 : value_in(memory->crash(random));
        EXPECT_TRUE(value >= 0 && value <= 2) << value << " write " << n;
        return {};
      });
      const auto file = std::make_shared<LateFailure>(looked, n);
      Journal journal(file, *read_headers(*memory));
      const bool done = bool{journal.commit(pages_of(1), kData + MiB)};
      if (done && !file->failed()) return;
      ASSERT_TRUE(journal.commit(pages_of(2), kData + MiB));
      ASSERT_TRUE(file->sync());
      EXPECT_EQ(value_in(memory->crash(random)), 2);
      ASSERT_FALSE(HasFailure()) << "write " << n;
    }
  }
}

TEST(VhdxJournal, TakesOverFromALogThatWasReplayed) {
  VhdxBuilder builder{.log_guid = Uuid::random()};
  builder.file_size = kData + MiB;
  VhdxBuilder::Entry entry;
  for (const Table::Page& page : pages_of(1)) entry.pages.push_back({page.offset, page.bytes});
  builder.log.push_back(entry);
  for (uint64_t seed = 0; seed < 30; ++seed) {
    std::mt19937_64 random(seed);
    const auto memory = std::make_shared<CrashFile>(*builder.file());
    const auto file = std::make_shared<WrappedFile>(memory, [&](Call call) -> Result<void> {
      EXPECT_TRUE(call == Call::read || value_in(memory->crash(random)) == 1);
      return {};
    });
    ASSERT_TRUE(parse_for_change(*file));
    EXPECT_EQ(value_in(memory->crash(random)), 1);
    EXPECT_TRUE(read_headers(*memory->crash(random))->current.log.is_nil());
  }
}

TEST(VhdxJournal, TakesAsManyPagesAsTheSmallestLogHolds) {
  const auto memory = file_with_room();
  Journal journal(memory, *read_headers(*memory));
  Table::Pages pages;
  for (uint64_t i = 0; i < Journal::kMostPages; ++i) {
    pages.push_back({kData + 4096 * i, std::vector<std::byte>(4096, static_cast<std::byte>(i))});
  }
  // The last one is short, as at the end of a file.
  pages.back().bytes.resize(100);
  ASSERT_TRUE(journal.commit(pages, kData + MiB));
  for (uint64_t i = 0; i < Journal::kMostPages; ++i) {
    EXPECT_EQ(*memory->read_struct<std::byte>(kData + 4096 * i), static_cast<std::byte>(i));
  }
}

// More bitmaps than one change holds, in several of them.
TEST(VhdxJournal, IsNeverNamedWithoutAnEntryBetweenChangesEither) {
  const uint64_t chunk = 4096 * MiB;
  VhdxBuilder builder{.parameters = 2, .disk_size = 300 * chunk};
  builder.locator = {{"relative_path", "x"}};
  builder.regions[1].length = 10 << 20;
  builder.file_size = VhdxBuilder::kBat + 10 * MiB;
  const auto memory = std::make_shared<CrashFile>(*builder.file());
  std::mt19937_64 random(1);
  const auto file = std::make_shared<WrappedFile>(memory, [&](Call call) -> Result<void> {
    for (int i = 0; call == Call::sync && i < 8; ++i) {
      EXPECT_NE(value_in(memory->crash(random)), -2);
    }
    return {};
  });
  Epochs epochs;
  const auto image = test::open_writable_vhdx(file, epochs);
  ASSERT_TRUE(image && (*image)->begin_writing());
  // Past the pages of the BAT that may wait.
  for (uint64_t i = 0; i < 300; ++i) {
    const auto r = (*image)->reserve({i * chunk, 512});
    ASSERT_TRUE(r && r->file->write(r->host, std::vector<std::byte>(512, std::byte{1})));
    ASSERT_TRUE((*image)->publish(*r));
  }
  ASSERT_TRUE((*image)->flush(true));
}

TEST(VhdxPagePatch, ChangesBytesInWholePages) {
  const auto memory = file_with_room();
  ASSERT_TRUE(memory->write(kData, std::vector<std::byte>(8192, std::byte{9})));
  PagePatch patch(*memory);
  const std::vector<std::byte> ones(20, std::byte{1});
  ASSERT_TRUE(patch.put(kData + 4090, ones));
  const Table::Pages pages = patch.pages();
  ASSERT_EQ(pages.size(), 2u);
  EXPECT_EQ(pages[0].offset, kData);
  EXPECT_EQ(pages[0].bytes[4089], std::byte{9});
  EXPECT_EQ(pages[0].bytes[4090], std::byte{1});
  EXPECT_EQ(pages[1].bytes[13], std::byte{1});
  EXPECT_EQ(pages[1].bytes[14], std::byte{9});
}

}  // namespace
}  // namespace platter::vhdx
