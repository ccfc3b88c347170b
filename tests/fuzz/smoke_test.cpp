// A short run of the fuzzers' targets with a seed that never changes: golden images with some of
// their bytes broken. What it is for: nothing crashes, hangs, or answers outside the contract.
#include <random>

#include <gtest/gtest.h>

#include "lib/image/cache_image.h"
#include "lib/io/memory_file.h"
#include "tests/fuzz/targets.h"
#include "tests/support/bytes.h"
#include "tests/support/golden.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

constexpr int kRounds = 2000;

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  // One to four wounds, most of them in the first KiB, where headers are.
  std::string mutate(std::string bytes) {
    for (uint64_t n = 1 + random_() % 4; n > 0 && !bytes.empty(); --n) wound(bytes);
    return bytes;
  }
  uint64_t below(uint64_t n) { return random_() % n; }

 private:
  void wound(std::string& bytes) {
    const size_t reach = random_() % 4 == 0 ? bytes.size() : std::min<size_t>(bytes.size(), 1024);
    const size_t at = random_() % reach;
    switch (random_() % 5) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random_() % 8)); break;
      case 1: bytes[at] = static_cast<char>(random_()); break;
      case 2: put_number(bytes, at); break;
      case 3: bytes.resize(random_() % 16 == 0 ? random_() % bytes.size() : bytes.size()); break;
      case 4: {
        const size_t n = std::min<size_t>(1 + random_() % 16, bytes.size() - at);
        bytes.replace(at, n, bytes.substr(random_() % bytes.size(), n));
        break;
      }
    }
  }
  // A number at which arithmetic breaks, in either order.
  void put_number(std::string& bytes, size_t at) {
    static constexpr uint64_t kNumbers[] = {0,
                                            1,
                                            0x7f,
                                            0xff,
                                            0x8000,
                                            0xffff,
                                            0x7fffffff,
                                            0x80000000,
                                            0xffffffff,
                                            0xfffffe00,
                                            0x7fffffffffffffff,
                                            0x8000000000000000,
                                            0xffffffffffffffff,
                                            0xfffffffffffff000};
    const uint64_t number = kNumbers[random_() % std::size(kNumbers)];
    const size_t size = random_() % 2 == 0 ? 4 : 8;
    const size_t aligned = at / size * size;
    for (size_t i = 0; i < size && aligned + i < bytes.size(); ++i) {
      const size_t place = random_() % 2 == 0 ? i : size - 1 - i;
      bytes[aligned + i] = static_cast<char>(number >> (8 * place));
    }
  }
  std::mt19937_64 random_;
};

std::vector<std::string> seeds() {
  std::vector<std::string> contents;
  for (const test::Golden& golden : test::golden_images()) {
    contents.push_back(test::read_file(golden.image));
  }
  return contents;
}

TEST(FuzzSmoke, GoldenImagesThemselvesKeepTheContract) {
  for (const std::string& seed : seeds()) test::fuzz_open(test::bytes_of(seed));
}

TEST(FuzzSmoke, BrokenImagesAreOpenedOrRefused) {
  const std::vector<std::string> contents = seeds();
  ASSERT_FALSE(contents.empty());
  Mutator mutator(20);
  for (int i = 0; i < kRounds; ++i) {
    const std::string& seed = contents[mutator.below(contents.size())];
    test::fuzz_open(test::bytes_of(mutator.mutate(seed.substr(0, 64 * KiB))));
  }
}

TEST(FuzzSmoke, EveryTruncationIsOpenedOrRefused) {
  for (const std::string& seed : seeds()) {
    for (size_t n = 0; n < std::min<size_t>(seed.size(), 4096); n += 61) {
      test::fuzz_open(test::bytes_of(seed.substr(0, n)));
    }
  }
}

// A protective MBR with a GPT, and an MBR with an extended partition: signatures in place, the rest
// is for the mutator.
std::string partitioned(bool gpt) {
  std::string disk(64 * KiB, '\0');
  disk[510] = '\x55';
  disk[511] = '\xaa';
  disk[450] = gpt ? '\xee' : '\x05';
  disk[454] = 1;
  disk[458] = 100;
  if (gpt) {
    disk.replace(512, 8, "EFI PART");
  } else {
    disk[512 + 510] = '\x55';
    disk[512 + 511] = '\xaa';
    disk[512 + 450] = '\x83';
    disk[512 + 454] = 1;
    disk[512 + 458] = 10;
  }
  return disk;
}

TEST(FuzzSmoke, BrokenPartitionTablesAreReadOrRefused) {
  Mutator mutator(21);
  for (int i = 0; i < kRounds; ++i) {
    test::fuzz_partition(test::bytes_of(mutator.mutate(partitioned(i % 2 == 0))));
  }
}

// Some lines, of no disk's bytes: the checksums are only looked at.
std::string cache_image() {
  MemoryFile file;
  const auto places = make_cache_image(file, kMinCacheSize);
  CacheContents contents{.places = *places, .disk = {.size = GiB}};
  for (uint64_t i = 0; i < 120; ++i) {
    contents.lines.push_back({.guest = i * i * kCacheLine, .slot = i, .pieces = 0x5});
  }
  EXPECT_TRUE(close_cache_image(file, contents));
  std::string bytes(20 * KiB, '\0');
  EXPECT_TRUE(file.read_padded(0, std::as_writable_bytes(std::span(bytes))));
  return bytes;
}

TEST(FuzzSmoke, BrokenCacheImagesAreUsedOrEmptied) {
  Mutator mutator(22);
  const std::string sound = cache_image();
  for (int i = 0; i < 150; ++i) {
    // Half of them behind the header.
    const size_t header = i % 2 == 0 ? 0 : 1024;
    const std::string bytes = sound.substr(0, header) + mutator.mutate(sound.substr(header));
    test::fuzz_cache(test::bytes_of(bytes));
  }
}

}  // namespace
}  // namespace platter
