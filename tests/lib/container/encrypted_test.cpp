// Encrypted extents: what is read, what is written in place, and what others see meanwhile.
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "lib/container/guest_bytes.h"
#include "lib/container/writer.h"
#include "lib/image/registry.h"
#include "lib/io/memory_file.h"
#include "tests/support/bytes.h"
#include "tests/support/hex.h"
#include "tests/support/test_keys.h"

namespace platter {
namespace {

using test::pattern;

constexpr uint64_t kSector = Cipher::kSector;

CipherPtr aes(std::string_view mode) {
  return *make_cipher(*parse_cipher("aes", mode), test::counting(32));
}

// Sectors of a file at kBase, encrypted as the disk's from kTweak on.
constexpr uint64_t kBase = 3 * kSector, kTweak = 40 * kSector, kLength = 200 * KiB;

Extent all_of(File& file, const Cipher& cipher) {
  return {.guest = {0, kLength},
          .kind = Extent::Kind::data,
          .file = &file,
          .host = kBase,
          .in_place = true,
          .cipher = &cipher,
          .tweak = kTweak};
}

std::vector<std::byte> stored(File& file, const Cipher& cipher,
                              const std::vector<std::byte>& plain) {
  std::vector<std::byte> bytes = plain;
  EXPECT_TRUE(cipher.encrypt(kTweak, bytes));
  EXPECT_TRUE(file.write(kBase, bytes));
  return bytes;
}

TEST(EncryptedExtent, CutAnywhereReadsTheSame) {
  const CipherPtr cipher = aes("cbc-essiv:sha256");
  MemoryFile file;
  const auto plain = pattern(0, kLength, 1);
  stored(file, *cipher, plain);
  std::mt19937_64 random(1);
  for (int i = 0; i < 500; ++i) {
    const uint64_t at = random() % kLength;
    const Range range{at, std::min(1 + random() % (i % 2 == 0 ? 700 : 150 * KiB), kLength - at)};
    std::vector<std::byte> out(range.length);
    ASSERT_TRUE(read_data(all_of(file, *cipher).clipped(range), out));
    ASSERT_TRUE(std::equal(out.begin(), out.end(), plain.begin() + static_cast<ptrdiff_t>(at)));
  }
}

TEST(EncryptedExtent, OverwrittenAnywhereKeepsWhatIsAround) {
  const CipherPtr cipher = aes("cbc-plain64");
  MemoryFile file;
  auto plain = pattern(0, kLength, 1);
  stored(file, *cipher, plain);
  std::mt19937_64 random(2);
  for (unsigned i = 0; i < 300; ++i) {
    const uint64_t at = random() % kLength;
    const Range range{at, std::min(1 + random() % (i % 2 == 0 ? 700 : 150 * KiB), kLength - at)};
    const auto data = pattern(at, range.length, i);
    const auto before = data;
    ASSERT_TRUE(overwrite(all_of(file, *cipher).clipped(range), data));
    ASSERT_EQ(data, before);
    std::copy(data.begin(), data.end(), plain.begin() + static_cast<ptrdiff_t>(at));
  }
  std::vector<std::byte> out(kLength);
  ASSERT_TRUE(read_data(all_of(file, *cipher), out));
  EXPECT_TRUE(out == plain);
}

TEST(EncryptedExtent, PastTheEndOfTheFileIsAnError) {
  const CipherPtr cipher = aes("xts-plain64");
  MemoryFile file;
  ASSERT_TRUE(file.resize(kBase + 1000));
  std::vector<std::byte> out(1001);
  EXPECT_FALSE(read_data(all_of(file, *cipher).clipped({0, 1001}), out));
  EXPECT_FALSE(read_data(all_of(file, *cipher).clipped({900, 101}), MutableBytes(out).first(101)));
  EXPECT_TRUE(read_data(all_of(file, *cipher).clipped({0, 1000}), MutableBytes(out).first(1000)));
}

TEST(EncryptedExtent, GoesOnOnlyWhereItsTweakDoes) {
  const CipherPtr cipher = aes("xts-plain64"), other = aes("cbc-plain64");
  MemoryFile file;
  const Extent whole = all_of(file, *cipher);
  const Extent first = whole.clipped({0, 700});
  Extent next = whole.clipped({700, 5000});
  EXPECT_EQ(next.tweak, kTweak + kSector);
  EXPECT_TRUE(first.continues_with(next));
  next.tweak += kSector;
  EXPECT_FALSE(first.continues_with(next));
  next = whole.clipped({700, 5000});
  next.cipher = other.get();
  EXPECT_FALSE(first.continues_with(next));
  next.cipher = nullptr;
  EXPECT_FALSE(first.continues_with(next));
}

// A host that shows a write while it is half done, until a reader has looked, or given up.
class TornFile final : public File {
 public:
  const std::string& name() const override { return memory_.name(); }
  Result<FileStat> stat() const override { return memory_.stat(); }
  Result<void> write(uint64_t offset, Bytes data) override {
    TRY(memory_.write(offset, data.first(data.size() / 2)));
    if (tears_) {
      half_done_ = true;
      for (int i = 0; i < 2000 && looks_ < 20; ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(10));
      }
    }
    return memory_.write(offset + data.size() / 2, data.subspan(data.size() / 2));
  }
  Result<void> resize(uint64_t size) override { return memory_.resize(size); }
  Result<void> sync() override { return {}; }
  void tear() { tears_ = true; }
  bool half_done() const { return half_done_; }

 private:
  Result<size_t> read_some(uint64_t offset, MutableBytes out) const override {
    if (half_done_) ++looks_;
    return memory_.read_available(offset, out);
  }
  MemoryFile memory_;
  std::atomic<bool> tears_{false}, half_done_{false};
  mutable std::atomic<unsigned> looks_{0};
};

// In CBC a changed byte changes all of the sector behind it.
TEST(EncryptedExtent, ReadersNeverSeeASectorHalfWritten) {
  const CipherPtr cipher = aes("cbc-plain64");
  TornFile file;
  const auto plain = pattern(0, kLength, 1);
  stored(file, *cipher, plain);
  file.tear();
  const Extent whole = all_of(file, *cipher);
  std::thread writer([&] {
    const std::byte changed{0x55};
    EXPECT_TRUE(overwrite(whole.clipped({1024, 1}), Bytes(&changed, 1)));
  });
  while (!file.half_done()) std::this_thread::yield();
  std::vector<std::byte> out(300);
  EXPECT_TRUE(read_data(whole.clipped({1200, 300}), out));
  writer.join();
  EXPECT_TRUE(std::equal(out.begin(), out.end(), plain.begin() + 1200));
}

class EncryptedDisk : public testing::TestWithParam<const char*> {};

// Pieces of sectors, each of its own thread, none aligned to anything.
TEST_P(EncryptedDisk, EightThreadsLoseNoByteOfASector) {
  constexpr unsigned kThreads = 8;
  constexpr uint64_t kPiece = 37, kRounds = 60, kSize = 64 * KiB;
  const Format& format = *find_format(GetParam());
  Options options = test::quick_options(format);
  if (format.name() == "qcow2") {
    options = {{"encrypt.format", "luks"},
               {"encrypt.cipher-mode", "cbc"},
               {"encrypt.iter-time", "1"},
               {"cluster_size", "4k"}};
  }
  const auto file = std::make_shared<MemoryFile>("disk");
  const auto made =
      format.create({.file = file, .size = kSize, .options = options, .keys = test::test_keys()});
  ASSERT_TRUE(made) << made.error().message();
  ASSERT_TRUE((*made)->finish());
  const auto denied = deny_resolver("one file");
  Epochs epochs;
  const auto image = format.open({.file = file,
                                  .resolver = *denied,
                                  .tables = std::make_shared<PageCache>(MiB),
                                  .writable = true,
                                  .epochs = &epochs,
                                  .keys = test::test_keys()});
  ASSERT_TRUE(image) << image.error().message();
  BlockCache blocks(MiB);
  Layout layout(epochs,
                std::make_shared<const View>(std::vector<View::Layer>{{image->get(), 0}}, blocks));
  Writer writer(layout, **image, {.flush_every_ms = 0});
  const uint64_t pieces = kSize / kPiece;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t round = 1; round <= kRounds; ++round) {
        for (uint64_t i = t; i < pieces; i += kThreads) {
          const Range piece{i * kPiece, kPiece};
          ASSERT_TRUE(writer.write(piece.offset, pattern(piece.offset, kPiece, round)));
          if (round % 8 != 0) continue;
          std::vector<std::byte> seen(kPiece);
          const Layout::Request request(layout);
          ASSERT_TRUE(request.view().read(piece.offset, seen));
          ASSERT_EQ(seen, pattern(piece.offset, kPiece, round));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<std::byte> out(pieces * kPiece);
  ASSERT_TRUE(layout.live()->read(0, out));
  EXPECT_TRUE(out == pattern(0, out.size(), kRounds));
  EXPECT_TRUE(writer.close());
}

INSTANTIATE_TEST_SUITE_P(Formats, EncryptedDisk, testing::Values("qcow2", "luks"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace platter
