// What a cache image says of itself, how it is damaged, and what a power cut leaves of it.
#include "lib/image/cache_image.h"

#include <functional>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/vci/header.h"
#include "formats/vci/tree.h"
#include "lib/base/crc32c.h"
#include "lib/io/memory_file.h"
#include "tests/support/bytes.h"
#include "tests/support/crash_file.h"
#include "tests/support/hex.h"
#include "tests/support/wrapped_file.h"

namespace platter::vci {
namespace {

using test::CrashFile;
using testing::HasSubstr;

constexpr uint64_t kRoot = 4 * kBlock;  // of the smallest one

CachedDisk some_disk() {
  return {.uuid = *Uuid::parse("11111111-2222-4333-8444-555555555555"),
          .modification_uuid = *Uuid::parse("aaaaaaaa-2222-4333-8444-555555555555"),
          .digest = {std::byte{1}, std::byte{2}},
          .size = 100 * MiB + 100};
}

std::vector<std::byte> bytes_of_line(uint64_t guest) { return test::pattern(guest, kCacheLine, 3); }

// A line with some of its pieces, of such bytes.
CachedLine line_at(uint64_t guest, uint64_t slot, uint8_t pieces) {
  CachedLine line{.guest = guest, .slot = slot, .pieces = pieces, .age = 7};
  const auto bytes = bytes_of_line(guest);
  for (size_t i = 0; i < kPiecesOfALine; ++i) {
    if ((pieces >> i & 1) == 0) continue;
    line.checksums[i] =
        cache_checksum(guest + i * kCachePiece, Bytes(bytes).subspan(i * kCachePiece, kCachePiece));
  }
  return line;
}

std::vector<CachedLine> some_lines() {
  return {line_at(0, 5, 0xf), line_at(3 * kCacheLine, 0, 0x5), line_at(100 * MiB, 126, 0x1)};
}

Result<void> fill(File& file, const std::vector<CachedLine>& lines, uint64_t size = kMinCacheSize) {
  const CachePlaces places = TRY(make_cache_image(file, size));
  for (const CachedLine& line : lines) {
    TRY(file.write(places.first_slot + line.slot * kCacheLine, bytes_of_line(line.guest)));
  }
  return close_cache_image(
      file, {.places = places, .disk = some_disk(), .counts = {3, 4}, .lines = lines});
}

std::shared_ptr<MemoryFile> filled_file() {
  const auto file = std::make_shared<MemoryFile>("a.vci");
  EXPECT_TRUE(fill(*file, some_lines()));
  return file;
}

bool same_lines(const std::vector<CachedLine>& a, const std::vector<CachedLine>& b) {
  return std::ranges::equal(a, b, [](const CachedLine& x, const CachedLine& y) {
    return x.guest == y.guest && x.slot == y.slot && x.pieces == y.pieces && x.age == y.age &&
           x.checksums == y.checksums;
  });
}

TEST(CacheImage, OfTwoMebibytesLooksAsItsDescriptionSays) {
  MemoryFile file;
  const auto places = make_cache_image(file, 3 * MiB);
  ASSERT_TRUE(places);
  EXPECT_EQ(places->size, 2 * MiB);
  std::vector<std::byte> header(41);
  ASSERT_TRUE(file.read_exact(0, header));
  EXPECT_EQ(test::hex(header),
            "5643490001000000001000000000000001010000000400000000000000020000000000000002000000");
  ASSERT_TRUE(close_cache_image(file, {.places = *places}));
  std::vector<std::byte> map(36 + 4);
  ASSERT_TRUE(file.read_exact(2 * kBlock, map));
  EXPECT_EQ(test::hex(Bytes(map).first(8)), "56424c4b01000000");
  // All blocks, free ones, those of tables, those of lines.
  EXPECT_EQ(test::hex(Bytes(map).subspan(8)),
            "0010000000000000f40f0000000000000c000000000000000000000000000000");
  std::vector<std::byte> bits(4);
  ASSERT_TRUE(file.read_exact(3 * kBlock, bits));
  EXPECT_EQ(test::hex(bits), "ff0f0000");
}

TEST(CacheImage, GivesBackWhatItWasClosedWith) {
  const auto contents = read_cache_image(*filled_file());
  ASSERT_TRUE(contents);
  EXPECT_EQ(contents->damage, "");
  EXPECT_TRUE(contents->clean);
  EXPECT_EQ(contents->disk, some_disk());
  EXPECT_EQ(contents->counts.hits, 3U);
  EXPECT_EQ(contents->counts.misses, 4U);
  EXPECT_TRUE(same_lines(contents->lines, some_lines()));
}

// More lines than a tree of two levels has room for.
TEST(CacheImage, OfManyLinesGivesThemBackInTheOrderOfTheDisk) {
  std::mt19937_64 random(1);
  std::vector<CachedLine> lines;
  CachedDisk disk = some_disk();
  disk.size = kMaxOffset;
  for (uint64_t i = 0; i < kLeafEntries * kInternalEntries + 300; ++i) {
    lines.push_back({.guest = i * kCacheLine * (i > 100 ? uint64_t{1} << 33 : 1),
                     .slot = i,
                     .pieces = static_cast<uint8_t>(1 + random() % 15),
                     .age = static_cast<uint8_t>(i)});
  }
  MemoryFile file;
  const auto places = make_cache_image(file, 400 * MiB);
  ASSERT_TRUE(places);
  std::vector<CachedLine> shuffled = lines;
  std::ranges::shuffle(shuffled, random);
  ASSERT_TRUE(close_cache_image(file, {.places = *places, .disk = disk, .lines = shuffled}));
  const auto contents = read_cache_image(file);
  ASSERT_TRUE(contents);
  EXPECT_EQ(contents->damage, "");
  EXPECT_TRUE(same_lines(contents->lines, lines));
}

TEST(CacheImage, OfAnySizeHasRoomForALineInEachSlot) {
  for (uint64_t wanted = kMinCacheSize; wanted <= kMaxCacheSize; wanted = wanted * 3 / 2) {
    const uint64_t size = wanted / kMinCacheSize * kMinCacheSize;
    const Shape shape = shape_of(size / kBlock);
    EXPECT_GE(shape.nodes, nodes_for(shape.places.slots)) << size;
    EXPECT_GE(shape.places.first_slot, shape.node_block(shape.nodes) * kBlock) << size;
    EXPECT_LE(shape.places.first_slot + shape.places.slots * kCacheLine, size) << size;
    EXPECT_GE(shape.places.slots * kCacheLine, size * 98 / 100 - 64 * KiB) << size;
  }
  MemoryFile file;
  EXPECT_FALSE(make_cache_image(file, kMinCacheSize - 1));
  EXPECT_FALSE(make_cache_image(file, kMaxCacheSize + 1));
}

TEST(CacheImage, IsLeftAloneWhereItIsSomethingElse) {
  EXPECT_FALSE(*is_cache_image(MemoryFile()));
  const auto file = filled_file();
  EXPECT_TRUE(*is_cache_image(*file));
  for (const size_t at : {size_t{0}, offsetof(Header, ours)}) {
    MemoryFile other;
    other.become(*file);
    ASSERT_TRUE(other.write(at, test::bytes_of("x")));
    const auto contents = read_cache_image(other);
    ASSERT_FALSE(contents);
    EXPECT_EQ(contents.error().code(), Errc::wrong_format);
  }
}

TEST(CacheImage, CountsForNothingWithOneByteOfItsTablesWrong) {
  const auto file = filled_file();
  for (uint64_t at = 0; at < kRoot + kNodeSize; ++at) {
    MemoryFile wrong;
    wrong.become(*file);
    std::byte value{};
    ASSERT_TRUE(wrong.read_exact(at, MutableBytes(&value, 1)));
    value ^= std::byte{0x20};
    ASSERT_TRUE(wrong.write(at, Bytes(&value, 1)));
    const auto contents = read_cache_image(wrong);
    if (!contents) {
      EXPECT_EQ(contents.error().code(), Errc::wrong_format) << at;
      continue;
    }
    EXPECT_TRUE(contents->lines.empty()) << at;
    EXPECT_NE(contents->damage, "") << at;
    CheckReport report;
    ASSERT_TRUE(check_cache_image(wrong, report));
    EXPECT_EQ(report.corruptions, 1U) << at;
  }
}

TEST(CacheImage, CutOffAnywhereCountsForNothing) {
  const auto file = filled_file();
  for (uint64_t size = 0; size < kRoot + kNodeSize; size += 100) {
    MemoryFile cut;
    cut.become(*file);
    ASSERT_TRUE(cut.resize(size));
    const auto contents = read_cache_image(cut);
    EXPECT_TRUE(!contents || (contents->lines.empty() && !contents->damage.empty())) << size;
  }
}

TEST(CacheImage, IsCheckedPieceByPiece) {
  const auto file = filled_file();
  CheckReport sound;
  ASSERT_TRUE(check_cache_image(*file, sound));
  EXPECT_EQ(sound.corruptions, 0U);
  EXPECT_EQ(sound.blocks, 3U);
  const auto places = read_cache_image(*file)->places;
  // The second piece of the line at slot 0 is not there; the third is.
  ASSERT_TRUE(file->write(places.first_slot + kCachePiece + 1, test::bytes_of("x")));
  ASSERT_TRUE(file->write(places.first_slot + 2 * kCachePiece + 1, test::bytes_of("x")));
  CheckReport report;
  ASSERT_TRUE(check_cache_image(*file, report));
  EXPECT_EQ(report.corruptions, 1U);
}

// A file whose checksums are right, and what they are of is not.
class ForgedCacheImage : public testing::Test {
 protected:
  // The node of that number changes, by what stands at the start of its entries.
  template <class Entry>
  void change(uint64_t node, size_t entry, const std::function<void(Entry&)>& how) {
    const uint64_t at = kRoot + node * kNodeSize + 1 + entry * sizeof(Entry);
    Entry e = *file_->read_struct<Entry>(at);
    how(e);
    ASSERT_TRUE(file_->write(at, as_bytes_of(e)));
  }
  std::string damage(const std::function<void(Header&)>& how = [](Header&) {}) {
    Header header = *file_->read_struct<Header>(0);
    std::vector<std::byte> tree(header.nodes * kNodeSize), map(2 * kBlock);
    EXPECT_TRUE(file_->read_exact(kRoot, tree));
    EXPECT_TRUE(file_->read_exact(2 * kBlock, map));
    header.tree_checksum = crc32c(tree);
    header.map_checksum = crc32c(map);
    how(header);
    EXPECT_TRUE(write_header(*file_, header));
    const auto contents = read_cache_image(*file_);
    if (!contents) return contents.error().message();
    EXPECT_TRUE(contents->lines.empty() || contents->damage.empty());
    return contents->damage;
  }
  // Two leaves, below a root: the nodes 0, 1 and 2.
  void use_two_leaves() {
    std::vector<CachedLine> lines;
    for (uint64_t i = 0; i < kLeafEntries + 1; ++i) lines.push_back(line_at(i * kCacheLine, i, 1));
    file_ = std::make_shared<MemoryFile>();
    ASSERT_TRUE(fill(*file_, lines));
    ASSERT_EQ(damage(), "");
  }
  std::shared_ptr<MemoryFile> file_ = filled_file();
};

TEST_F(ForgedCacheImage, IsRefusedForALineThatCannotBe) {
  const std::vector<std::function<void(LeafEntry&)>> ways = {
      [](LeafEntry& e) { e.disk_block = 0; },                      // as the one before
      [](LeafEntry& e) { e.disk_block = 1; },                      // not aligned
      [](LeafEntry& e) { e.disk_block = 200 * MiB / kBlock; },     // behind the disk
      [](LeafEntry& e) { e.disk_block = ~uint64_t{31}; },          // and so that sums overflow
      [](LeafEntry& e) { e.blocks = 64; },                         // too long
      [](LeafEntry& e) { e.blocks = 0xffffffff; },                 //
      [](LeafEntry& e) { e.pieces = 0; },                          // of nothing
      [](LeafEntry& e) { e.pieces = 0x15; },                       // of five pieces
      [](LeafEntry& e) { e.place = 0; },                           // in the header
      [](LeafEntry& e) { e.place = 4; },                           // in the tree
      [](LeafEntry& e) { e.place = uint64_t{e.place} + 1; },       // between two slots
      [](LeafEntry& e) { e.place = uint64_t{e.place} + 5 * 32; },  // the first one's
      [](LeafEntry& e) { e.place = 4096; },                        // behind the file
      [](LeafEntry& e) { e.place = ~uint64_t{31} + 32 - 4096; },   //
      [](LeafEntry& e) { e.place = uint64_t{e.place} + 32; },      // free, as the map says
      [](LeafEntry& e) { e.blocks = 0; },                          // the last one then
  };
  for (size_t i = 0; i < ways.size(); ++i) {
    file_ = filled_file();
    change<LeafEntry>(0, 1, ways[i]);
    EXPECT_NE(damage(), "") << i;
  }
}

TEST_F(ForgedCacheImage, IsRefusedForATreeThatIsNone) {
  const std::vector<std::function<void(InternalEntry&)>> ways = {
      [](InternalEntry& e) { e.child = 4; },                    // itself
      [](InternalEntry& e) { e.child = 4 + kNodeBlocks; },      // the other one's
      [](InternalEntry& e) { e.child = 5; },                    // not aligned
      [](InternalEntry& e) { e.child = 3; },                    // the map
      [](InternalEntry& e) { e.child = 4 + 3 * kNodeBlocks; },  // no room for one
      [](InternalEntry& e) { e.child = ~uint64_t{0}; },         //
      [](InternalEntry& e) { e.child = 0; },                    // one less
      [](InternalEntry& e) { e.disk_block = 32; },              // not where it begins
  };
  for (size_t i = 0; i < ways.size(); ++i) {
    use_two_leaves();
    change<InternalEntry>(0, 1, ways[i]);
    EXPECT_NE(damage(), "") << i;
  }
  use_two_leaves();
  ASSERT_TRUE(file_->write(kRoot + kNodeSize, test::bytes_of("\x03")));
  EXPECT_THAT(damage(), HasSubstr("no known kind"));
}

TEST_F(ForgedCacheImage, IsRefusedForATreeThatIsTooDeep) {
  file_ = std::make_shared<MemoryFile>();
  ASSERT_TRUE(fill(*file_, {}, 100 * MiB));
  const Shape shape = shape_of(100 * MiB / kBlock);
  for (uint64_t i = 0; i < 9; ++i) {
    std::vector<std::byte> node(kNodeSize);
    node[0] = std::byte{1};
    store(node, 1, InternalEntry{.child = shape.node_block(i + 1)});
    ASSERT_TRUE(file_->write(shape.node_block(i) * kBlock, node));
  }
  EXPECT_THAT(read_cache_image(*file_)->damage, HasSubstr("levels"));
}

TEST_F(ForgedCacheImage, IsRefusedForAHeaderThatCannotBe) {
  const std::vector<std::function<void(Header&)>> ways = {
      [](Header& h) { h.version = 2; },
      [](Header& h) { h.type = 2; },
      [](Header& h) { h.unclean = 2; },
      [](Header& h) { h.blocks = 0; },
      [](Header& h) { h.blocks = 4095; },
      [](Header& h) { h.blocks = uint64_t{1} << 55; },
      [](Header& h) { h.blocks = kMaxCacheSize / kBlock + 4096; },
      [](Header& h) { h.blocks = kMaxCacheSize / kBlock; },
      [](Header& h) { h.root = 12; },
      [](Header& h) { h.map = 0; },
      [](Header& h) { h.map_blocks = 0xffffffff; },
      [](Header& h) { h.nodes = 2; },
      [](Header& h) { h.lines = 4; },
      [](Header& h) { h.disk_size = 4096; },
      [](Header& h) { h.tree_checksum = 0; },
      [](Header& h) { h.map_checksum = 0; },
  };
  for (size_t i = 0; i < ways.size(); ++i) {
    file_ = filled_file();
    EXPECT_NE(damage(ways[i]), "") << i;
  }
  file_ = filled_file();
  ASSERT_TRUE(file_->resize(kMinCacheSize + 1));
  EXPECT_THAT(damage(), HasSubstr("larger"));
}

// Not closed, or closed with everything in it.
void expect_nothing_or_all(const File& file) {
  if (!*is_cache_image(file)) return;
  const auto contents = read_cache_image(file);
  ASSERT_TRUE(contents) << contents.error().message();
  if (contents->lines.empty()) return;
  EXPECT_TRUE(same_lines(contents->lines, some_lines()));
  CheckReport report;
  ASSERT_TRUE(check_cache_image(file, report));
  EXPECT_EQ(report.corruptions, 0U);
}

TEST(CacheImageAfterAPowerCut, CountsForNothingOrHasEverything) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<CrashFile>();
    test::WrappedFile wrapped(file, [&](test::Call call) -> Result<void> {
      if (call != test::Call::read) expect_nothing_or_all(*file->crash(random));
      return {};
    });
    ASSERT_TRUE(fill(wrapped, some_lines()));
    for (int i = 0; i < 4; ++i) {
      const auto after = file->crash(random);
      EXPECT_EQ(read_cache_image(*after)->lines.size(), 3U);
      expect_nothing_or_all(*after);
    }
  }
}

TEST(CacheImageAfterAPowerCut, IsOpenOnceItWasSaidToBe) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<CrashFile>(static_cast<const File&>(*filled_file()));
    ASSERT_TRUE(mark_cache_image_open(*file));
    EXPECT_FALSE(read_cache_image(*file->crash(random))->clean);
    const auto anew = std::make_shared<CrashFile>(static_cast<const File&>(*filled_file()));
    ASSERT_TRUE(make_cache_image(*anew, kMinCacheSize));
    EXPECT_FALSE(read_cache_image(*anew->crash(random))->clean);
    EXPECT_EQ(anew->crash(random)->stat()->size, sizeof(Header));
  }
}

}  // namespace
}  // namespace platter::vci
