// The log: which entries count, what replaying them makes of the file, in memory and on disk, and
// what is refused.
#include "formats/vhdx/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/vhdx/replayed_file.h"
#include "tests/support/vhdx_builder.h"

namespace platter::vhdx {
namespace {

using test::VhdxBuilder;
using testing::HasSubstr;

const Uuid kLogGuid = *Uuid::parse("99999999-8888-4777-8666-555555555555");
constexpr uint64_t kPageAt = VhdxBuilder::kData;

std::vector<std::byte> page_of(int value) {
  std::vector<std::byte> page(4096, static_cast<std::byte>(value));
  // Its first and last bytes go another way than the others.
  page.front() = static_cast<std::byte>(value + 1);
  page.back() = static_cast<std::byte>(value + 2);
  return page;
}

VhdxBuilder with_log(std::vector<VhdxBuilder::Entry> entries) {
  VhdxBuilder builder{.log_guid = kLogGuid};
  builder.log = std::move(entries);
  builder.data.push_back({kPageAt, MiB, 0x10});
  return builder;
}

VhdxBuilder::Entry entry(uint64_t at, uint64_t sequence, uint64_t tail, int value,
                         uint64_t page = 0) {
  return {.at = at,
          .sequence = sequence,
          .tail = tail,
          .pages = {{kPageAt + 4096 * page, page_of(value)}}};
}

std::vector<std::byte> bytes_at(const File& file, uint64_t at, size_t n = 4096) {
  std::vector<std::byte> out(n);
  (void)file.read_padded(at, out);
  return out;
}

// The file as a reader sees it; null when the log is refused, and then why.
FilePtr replayed(const FilePtr& file, std::string* why = nullptr) {
  const auto headers = read_headers(*file);
  if (!headers) return nullptr;
  const auto replay = read_log(*file, headers->current);
  if (!replay && why != nullptr) *why = replay.error().message();
  if (!replay) return nullptr;
  return std::make_shared<ReplayedFile>(file, *replay, file->stat()->size);
}

std::string log_refusal(const VhdxBuilder& builder) {
  std::string why;
  EXPECT_EQ(replayed(builder.file(), &why), nullptr);
  const auto image = test::open_vhdx(builder.file());
  EXPECT_EQ(image ? "" : image.error().message(), why);
  // Who only asks for information is told.
  const auto info = test::open_vhdx(builder.file(), true);
  EXPECT_TRUE(info && (*info)->info().corrupt);
  return why;
}

TEST(VhdxLog, IsSeenAsReplayedAndNotAByteOfTheFileChanges) {
  const auto file = with_log({entry(0, 7, 0, 0x50)}).file();
  const auto before = bytes_at(*file, 0, 5 * MiB);
  const FilePtr shown = replayed(file);
  ASSERT_TRUE(shown);
  EXPECT_TRUE(bytes_at(*shown, kPageAt) == page_of(0x50));
  EXPECT_TRUE(bytes_at(*shown, kPageAt + 4096) == bytes_at(*file, kPageAt + 4096));
  EXPECT_FALSE(shown->write(0, page_of(1)));
  EXPECT_FALSE(shown->resize(0));
  EXPECT_TRUE(bytes_at(*file, 0, 5 * MiB) == before);
}

TEST(VhdxLog, ZeroesRangesAndWritesOverThem) {
  auto zeroing = entry(0, 1, 0, 0x50, 2);
  zeroing.zeroes = {{kPageAt, 5 * 4096}};
  auto second = entry(0x2000, 2, 0, 0x60, 3);
  const FilePtr shown = replayed(with_log({zeroing, second}).file());
  ASSERT_TRUE(shown);
  const std::vector<std::byte> zeroes(4096);
  // An entry's descriptors are in order too: the zeroes come last here.
  EXPECT_TRUE(bytes_at(*shown, kPageAt + 2 * 4096) == zeroes);
  EXPECT_TRUE(bytes_at(*shown, kPageAt + 3 * 4096) == page_of(0x60));
  EXPECT_TRUE(bytes_at(*shown, kPageAt + 4 * 4096) == zeroes);
  EXPECT_EQ(bytes_at(*shown, kPageAt + 5 * 4096)[0], test::vhdx_byte(0x10, 5 * 4096));
  // As runs of the host file it says the same.
  EXPECT_FALSE(shown->run_at(kPageAt + 100)->data);
  EXPECT_EQ(shown->run_at(kPageAt + 100)->range, (Range{kPageAt, 3 * 4096}));
  EXPECT_EQ(shown->run_at(kPageAt + 3 * 4096)->range, (Range{kPageAt + 3 * 4096, 4096}));
}

// The longest run need not be the right one: the entry in front of the wrap belongs to it, too.
TEST(VhdxLog, IsTheSequenceWhoseTailIsInIt) {
  const auto file =
      with_log({entry(0xff000, 10, 0xff000, 0x50, 0), entry(0x1000, 11, 0xff000, 0x60, 1),
                entry(0x8000, 3, 0x8000, 0x70, 2)})
          .file();
  const FilePtr shown = replayed(file);
  ASSERT_TRUE(shown);
  EXPECT_TRUE(bytes_at(*shown, kPageAt) == page_of(0x50));
  EXPECT_TRUE(bytes_at(*shown, kPageAt + 4096) == page_of(0x60));
  EXPECT_TRUE(bytes_at(*shown, kPageAt + 2 * 4096) == bytes_at(*file, kPageAt + 2 * 4096));
}

TEST(VhdxLog, LeavesOutEntriesInFrontOfTheTail) {
  const auto file = with_log({entry(0, 1, 0, 0x50, 0), entry(0x2000, 2, 0x2000, 0x60, 1)}).file();
  const FilePtr shown = replayed(file);
  ASSERT_TRUE(shown);
  EXPECT_TRUE(bytes_at(*shown, kPageAt) == bytes_at(*file, kPageAt));
  EXPECT_TRUE(bytes_at(*shown, kPageAt + 4096) == page_of(0x60));
}

TEST(VhdxLog, PassesOverWhatOtherSessionsLeft) {
  std::vector<VhdxBuilder::Entry> entries;
  for (uint64_t i = 0; i < 7; ++i) {
    entries.push_back(entry(i * 0x2000, i + 1, i * 0x2000, static_cast<int>(0x30 + i)));
    if (i < 6) entries.back().guid = Uuid::random();
  }
  const FilePtr shown = replayed(with_log(entries).file());
  ASSERT_TRUE(shown);
  EXPECT_TRUE(bytes_at(*shown, kPageAt) == page_of(0x36));
}

TEST(VhdxLog, MayHaveEntriesOfManyDescriptors) {
  VhdxBuilder::Entry many{.sequence = uint64_t{5} << 40};
  for (uint64_t i = 0; i < 200; ++i) {
    many.pages.push_back({kPageAt + 4096 * i, page_of(static_cast<int>(i))});
  }
  many.extra_sectors = 3;
  const FilePtr shown = replayed(with_log({many}).file());
  ASSERT_TRUE(shown);
  for (const uint64_t i : {0U, 125U, 126U, 127U, 199U}) {
    EXPECT_TRUE(bytes_at(*shown, kPageAt + 4096 * i) == page_of(static_cast<int>(i))) << i;
  }
}

TEST(VhdxLog, MakesTheFileAsLongAsItSays) {
  auto growing = entry(0, 1, 0, 0x50, 0);
  growing.pages[0].offset = kPageAt + 2 * MiB;
  growing.last = kPageAt + 3 * MiB;
  const auto file = with_log({growing}).file();
  const FilePtr shown = replayed(file);
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->stat()->size, kPageAt + 3 * MiB);
  EXPECT_TRUE(bytes_at(*shown, kPageAt + 2 * MiB) == page_of(0x50));
  EXPECT_FALSE(shown->run_at(kPageAt + MiB + 5)->data);
  EXPECT_EQ(shown->kernel_view({kPageAt + 2 * MiB, 1}), nullptr);
}

TEST(VhdxLog, OnDiskIsReplayedAndEmptiedAndTheFileSealed) {
  auto first = entry(0, 1, 0, 0x50, 0);
  first.zeroes = {{kPageAt + 8192, 4096}};
  auto second = entry(0x2000, 2, 0, 0x60, 1);
  second.last = kPageAt + 3 * MiB - 5;
  const auto file = with_log({first, second}).file();
  Headers headers = *read_headers(*file);
  ASSERT_TRUE(replay_on_disk(*file, headers, *read_log(*file, headers.current)));
  EXPECT_TRUE(bytes_at(*file, kPageAt) == page_of(0x50));
  EXPECT_TRUE(bytes_at(*file, kPageAt + 4096) == page_of(0x60));
  EXPECT_EQ(bytes_at(*file, kPageAt + 8192), std::vector<std::byte>(4096));
  EXPECT_EQ(file->stat()->size, kPageAt + 3 * MiB);
  for (size_t n = 0; n < 2; ++n) {
    (void)file->write((2 - n) * 64 * KiB, std::vector<std::byte>(4096));
    const auto left = read_headers(*file);
    if (n == 0) {
      ASSERT_TRUE(left);
      EXPECT_TRUE(left->current.log.is_nil());
    }
  }
}

TEST(VhdxLog, WithoutAnEntryIsRefused) {
  const std::string lost = "log: is not empty, and has no valid entry: changes are lost";
  EXPECT_EQ(log_refusal(with_log({})), lost);
  auto broken = entry(0, 1, 0, 0x50);
  broken.after_checksum = [](auto& bytes) { bytes[5000] ^= std::byte{1}; };
  EXPECT_EQ(log_refusal(with_log({broken})), lost);
  broken = entry(0, 1, 0, 0x50);
  broken.guid = Uuid::random();
  EXPECT_EQ(log_refusal(with_log({broken})), lost);
  EXPECT_EQ(log_refusal(with_log({entry(0, 0, 0, 0x50)})), lost);
  EXPECT_EQ(log_refusal(with_log({entry(0, 1, 0x3000, 0x50)})), lost);
}

// Each by itself right in its checksum.
TEST(VhdxLog, TakesNoEntryThatContradictsItself) {
  const std::pair<const char*, std::function<void(std::vector<std::byte>&)>> attacks[] = {
      {"another length", [](auto& b) { store(b, 8, le32(4096)); }},
      {"no whole sectors", [](auto& b) { store(b, 8, le32(8191)); }},
      {"longer than the log", [](auto& b) { store(b, 8, le32(2 << 20)); }},
      {"of no length", [](auto& b) { store(b, 8, le32(0)); }},
      {"a tail between sectors", [](auto& b) { store(b, 12, le32(1)); }},
      {"a tail outside", [](auto& b) { store(b, 12, le32(1 << 20)); }},
      {"more descriptors than fit", [](auto& b) { store(b, 24, le32(300)); }},
      {"very many descriptors", [](auto& b) { store(b, 24, le32(0xffffffff)); }},
      {"more data than fits",
       [](auto& b) {
         std::copy_n(b.begin() + 64, 32, b.begin() + 96);
         store(b, 24, le32(2));
       }},
      {"an unknown descriptor", [](auto& b) { store(b, 64, le32(0)); }},
      {"a descriptor of another entry", [](auto& b) { store(b, 88, le64(2)); }},
      {"a page between pages", [](auto& b) { store(b, 80, le64(kPageAt + 1)); }},
      {"no data", [](auto& b) { store(b, 4096, le32(0)); }},
      {"data of another entry", [](auto& b) { store(b, 4100, le32(1)); }},
      {"torn data", [](auto& b) { store(b, 8188, le32(2)); }},
  };
  for (const auto& [what, attack] : attacks) {
    auto bad = entry(0, 1, 0, 0x50);
    bad.before_checksum = attack;
    EXPECT_THAT(log_refusal(with_log({bad})), HasSubstr("has no valid entry")) << what;
  }
}

TEST(VhdxLog, RefusesZeroesOfBrokenPages) {
  auto bad = entry(0, 1, 0, 0x50);
  bad.zeroes = {{kPageAt, 100}};
  EXPECT_THAT(log_refusal(with_log({bad})), HasSubstr("has no valid entry"));
}

TEST(VhdxLog, RefusesToWriteWhereNoEntryMay) {
  for (const uint64_t to : {uint64_t{0}, 64 * KiB, 128 * KiB, VhdxBuilder::kLog,
                            VhdxBuilder::kLog + MiB - 4096, uint64_t{1} << 62, ~uint64_t{4095}}) {
    auto bad = entry(0, 1, 0, 0x50);
    bad.pages[0].offset = to;
    EXPECT_THAT(log_refusal(with_log({bad})), HasSubstr("log: an entry writes 4096 bytes at"))
        << to;
  }
  auto bad = entry(0, 1, 0, 0x50);
  bad.zeroes = {{kPageAt, ~uint64_t{4095}}};
  EXPECT_THAT(log_refusal(with_log({bad})), HasSubstr("log: an entry writes"));
  bad.zeroes = {{kPageAt, 1024 * GiB}};
  EXPECT_THAT(log_refusal(with_log({bad})), HasSubstr("past the end of the file"));
}

TEST(VhdxLog, RefusesAFileThatWasCutOrCannotBeThatLong) {
  auto late = entry(0, 1, 0, 0x50);
  late.flushed = kPageAt + MiB;
  EXPECT_TRUE(replayed(with_log({late}).file()));
  late.flushed += 1;
  EXPECT_THAT(log_refusal(with_log({late})), HasSubstr("truncated: the file has"));
  late.flushed = 0;
  late.last = uint64_t{1} << 60;
  EXPECT_THAT(log_refusal(with_log({late})), HasSubstr("log: a file of"));
}

TEST(VhdxLog, RefusesOneThatEndsPastTheEndOfTheFile) {
  VhdxBuilder builder = with_log({entry(0, 1, 0, 0x50)});
  builder.log_offset = 5 * MiB;
  builder.file_size = 5 * MiB + 8192;
  EXPECT_EQ(log_refusal(builder), "truncated: the log ends past the end of the file");
}

// Entries as long as the log, one a sector: each would have to be read whole.
TEST(VhdxLog, IsGivenUpWhenItsEntriesOverlap) {
  VhdxBuilder builder{.log_guid = kLogGuid, .log_length = 4 << 20};
  builder.log_offset = 8 * MiB;
  builder.file_size = 12 * MiB;
  for (uint64_t at = 0; at < 4 * MiB; at += 4096) {
    VhdxBuilder::Entry none{.at = at};
    none.before_checksum = [](auto& bytes) { store(bytes, 8, le32(4 << 20)); };
    builder.log.push_back(none);
  }
  EXPECT_EQ(log_refusal(builder), "log: its entries overlap");
}

}  // namespace
}  // namespace platter::vhdx
