// LUKS images: opened, refused, written, resized.
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/crypto/luks1_layout.h"
#include "lib/image/registry.h"
#include "lib/ops/create.h"
#include "lib/ops/resize.h"
#include "tests/support/crash_file.h"
#include "tests/support/test_keys.h"
#include "tests/support/wrapped_file.h"

namespace platter {
namespace {

using test::Call;
using test::pattern;
using test::TempDir;

const Format& luks() { return *find_format("luks"); }

Options quick(Options more = {}) {
  more.emplace("iter-time", "1");
  return more;
}

std::shared_ptr<MemoryFile> made(uint64_t size, const Options& options = quick()) {
  auto file = std::make_shared<MemoryFile>("a.luks");
  auto writer =
      luks().create({.file = file, .size = size, .options = options, .keys = test::test_keys()});
  EXPECT_TRUE(writer) << writer.error().message();
  EXPECT_TRUE((*writer)->finish());
  return file;
}

Result<ImagePtr> open(const FilePtr& file, bool writable = false,
                      KeySource* keys = test::test_keys()) {
  static Epochs epochs;
  const auto denied = deny_resolver("one file");
  return luks().open({.file = file,
                      .resolver = *denied,
                      .tables = std::make_shared<PageCache>(MiB),
                      .writable = writable,
                      .epochs = &epochs,
                      .keys = keys});
}

Result<std::vector<std::byte>> contents(const FilePtr& file) {
  const ImagePtr image = TRY(open(file));
  BlockCache blocks(MiB);
  const View view({{image.get(), 0}}, blocks);
  std::vector<std::byte> out(view.size());
  TRY(view.read(0, out));
  return out;
}

TEST(Luks, ANewDiskIsZeroesThatNobodySeesInTheFile) {
  const auto file = made(100 * KiB);
  const auto disk = contents(file);
  ASSERT_TRUE(disk) << disk.error().message();
  EXPECT_EQ(*disk, std::vector<std::byte>(100 * KiB));
  std::vector<std::byte> stored(100 * KiB);
  ASSERT_TRUE(file->read_exact(2 * MiB, stored));
  for (size_t at = 0; at < stored.size(); at += 512) {
    EXPECT_NE(Bytes(stored).subspan(at, 512)[0], std::byte{0});
    if (at > 1024) break;
  }
  EXPECT_EQ(file->stat()->size, 2 * MiB + 100 * KiB);
}

TEST(Luks, EveryAlgorithmIsMadeAndOpenedAgain) {
  for (const Options& options : std::vector<Options>{
           {{"cipher-alg", "aes-128"}},
           {{"cipher-alg", "aes-256"}, {"ivgen-alg", "plain"}},
           {{"cipher-alg", "aes-192"}, {"cipher-mode", "cbc"}, {"hash-alg", "sha512"}},
           {{"cipher-mode", "cbc"}, {"ivgen-alg", "essiv"}, {"hash-alg", "sha1"}},
           {{"cipher-mode", "ecb"}, {"hash-alg", "sha384"}},
           {{"cipher-alg", "aes-128"}, {"cipher-mode", "cbc"}, {"hash-alg", "sha224"}},
           {{"hash-alg", "ripemd160"}}}) {
    const auto disk = contents(made(4 * KiB, quick(options)));
    ASSERT_TRUE(disk) << disk.error().message();
    EXPECT_EQ(*disk, std::vector<std::byte>(4 * KiB));
  }
}

TEST(Luks, IsFoundByItsMagicInEveryVersion) {
  const auto file = made(4 * KiB);
  auto probed = probe(*file);
  ASSERT_TRUE(probed);
  EXPECT_EQ(probed->format, &luks());
  ASSERT_TRUE(file->write(6, as_bytes_of(be16(2))));
  probed = probe(*file);
  ASSERT_TRUE(probed);
  EXPECT_EQ(probed->format, &luks());
  const auto image = open(file);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code(), Errc::unsupported);
  EXPECT_EQ(image.error().message(), "LUKS header: version 2 is not supported, only 1 is");
}

TEST(Luks, AHeaderDetachedFromItsDiskIsRefused) {
  const auto file = made(4 * KiB);
  ASSERT_TRUE(file->write(offsetof(RawLuksHeader, payload_offset), as_bytes_of(be32(0))));
  const auto image = open(file);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code(), Errc::unsupported);
  EXPECT_NE(image.error().message().find("detached"), std::string::npos);
}

TEST(Luks, AFileWithoutASectorOfPayloadIsRefused) {
  for (const uint64_t size : {2 * MiB, 2 * MiB + 511}) {
    const auto file = made(4 * KiB);
    ASSERT_TRUE(file->resize(size));
    const auto image = open(file);
    ASSERT_FALSE(image) << size;
    EXPECT_EQ(image.error().code(), Errc::corrupt);
  }
}

TEST(Luks, TheRestOfASectorDoesNotCount) {
  const auto file = made(4 * KiB);
  ASSERT_TRUE(file->resize(2 * MiB + 4 * KiB - 1));
  const auto image = open(file);
  ASSERT_TRUE(image);
  EXPECT_EQ((*image)->size(), 4 * KiB - 512);
}

TEST(Luks, WithoutAKeyItCanBeDescribedAndNotRead) {
  const auto image = open(made(4 * KiB), false, nullptr);
  ASSERT_TRUE(image);
  EXPECT_TRUE((*image)->info().encrypted);
  BlockCache blocks(MiB);
  const View view({{image->get(), 0}}, blocks);
  std::byte byte{};
  const auto read = view.read(0, MutableBytes(&byte, 1));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Errc::no_key);
}

TEST(Luks, AWrongPassphraseIsAnErrorOfItsOwn) {
  test::TestKeys wrong("wrong");
  const auto image = open(made(4 * KiB), false, &wrong);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code(), Errc::no_key);
}

TEST(Luks, ACheckFindsSlotsThatCannotBeUsed) {
  const auto file = made(4 * KiB);
  const uint64_t slot = offsetof(RawLuksHeader, slots) + 3 * sizeof(RawLuksSlot);
  const auto faults = [&] {
    CheckReport report;
    EXPECT_TRUE((*open(file, false, nullptr))->check(Repair::none, report));
    return report.corruptions;
  };
  EXPECT_EQ(faults(), 0U);
  ASSERT_TRUE(file->write(slot + offsetof(RawLuksSlot, material_offset), as_bytes_of(be32(8))));
  EXPECT_EQ(faults(), 1U);
}

TEST(Luks, GrowsWithZeroesAndIsCut) {
  const auto file = made(100 * KiB);
  const auto image = open(file, true);
  ASSERT_TRUE(image);
  ASSERT_TRUE((*image)->resize(3 * MiB + 1));
  EXPECT_EQ((*image)->size(), 3 * MiB + 512);
  EXPECT_EQ(*contents(file), std::vector<std::byte>(3 * MiB + 512));
  ASSERT_TRUE((*image)->resize(512));
  EXPECT_EQ((*image)->size(), 512U);
  EXPECT_EQ(file->stat()->size, 2 * MiB + 512);
}

TEST(Luks, KeepsWhatItHasWhenPowerIsLostWhileItGrows) {
  test::CrashFile start(*made(8 * KiB));
  for (uint64_t seed = 0; seed < 4; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<test::CrashFile>(static_cast<const File&>(start));
    const auto look = [&](Call call) -> Result<void> {
      if (call == Call::read) return {};
      const auto disk = contents(file->crash(random));
      EXPECT_TRUE(disk) << disk.error().message();
      if (!disk) return {};
      EXPECT_GE(disk->size(), 8 * KiB);
      EXPECT_LE(disk->size(), 40 * KiB);
      EXPECT_TRUE(std::all_of(disk->begin(), disk->begin() + 8 * KiB,
                              [](std::byte b) { return b == std::byte{0}; }));
      return {};
    };
    const auto image = open(std::make_shared<test::WrappedFile>(file, look), true);
    ASSERT_TRUE(image);
    ASSERT_TRUE((*image)->resize(40 * KiB));
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(*contents(file->crash(random)), std::vector<std::byte>(40 * KiB));
    }
  }
}

TEST(Luks, IsAsLargeAsItWasWhenTheHostIsFull) {
  for (const uint64_t n : {1U, 2U}) {
    const auto file = made(8 * KiB);
    test::FailAt fail(n, ENOSPC);
    fail.pause(true);
    const auto image = open(std::make_shared<test::WrappedFile>(file, fail.hook()), true);
    ASSERT_TRUE(image);
    fail.pause(false);
    EXPECT_FALSE((*image)->resize(3 * MiB));
    EXPECT_EQ((*image)->size(), 8 * KiB);
    EXPECT_EQ(file->stat()->size, 2 * MiB + 8 * KiB);
  }
}

TEST(LuksCreate, RefusesWhatNoDiskCanBe) {
  const auto refused = [](uint64_t size, const Options& options, std::string_view what) {
    const auto writer = luks().create({.file = std::make_shared<MemoryFile>(),
                                       .size = size,
                                       .options = options,
                                       .keys = test::test_keys()});
    ASSERT_FALSE(writer) << what;
    EXPECT_EQ(writer.error().code(), Errc::invalid);
    EXPECT_NE(writer.error().message().find(what), std::string::npos) << writer.error().message();
  };
  refused(0, quick(), "a disk of 0 bytes");
  refused(kMaxOffset, quick(), "too large");
  refused(kMaxOffset - MiB, quick(), "too large");
  refused(MiB, {{"cipher-alg", "des"}}, "cipher-alg=des");
  const auto writer =
      luks().create({.file = std::make_shared<MemoryFile>(), .size = MiB, .options = quick()});
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code(), Errc::no_key);
}

}  // namespace
}  // namespace platter
