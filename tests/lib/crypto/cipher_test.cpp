#include "lib/crypto/cipher.h"

#include <thread>

#include <gtest/gtest.h>

#include "lib/crypto/legacy_aes.h"
#include "tests/support/hex.h"
#include "tests/support/sha256.h"
#include "tests/support/test_keys.h"

namespace platter {
namespace {

using test::counting;
using test::hex;

CipherPtr cipher(std::string_view mode, size_t key_bytes) {
  const auto spec = parse_cipher("aes", mode);
  EXPECT_TRUE(spec) << spec.error().message();
  auto made = make_cipher(*spec, counting(key_bytes));
  EXPECT_TRUE(made) << made.error().message();
  return *made;
}

TEST(Cipher, XtsGivesTheKnownSector) {
  std::vector<std::byte> sector(512);
  ASSERT_TRUE(cipher("xts-plain64", 64)->encrypt(512, sector));
  EXPECT_EQ(hex(Bytes(sector).first(16)), "0c22ed7e2168a8500b30154c2ec00d26");
  EXPECT_EQ(hex(Bytes(sector).last(16)), "a1fe130460ec6322bc846036dc6cc47b");
}

// The IV is what the first block of zeroes is encrypted from: decrypting that block without
// chaining gives it.
TEST(Cipher, EssivGivesTheKnownIv) {
  std::vector<std::byte> sector(512);
  ASSERT_TRUE(cipher("cbc-essiv:sha256", 16)->encrypt(512, sector));
  ASSERT_TRUE(cipher("ecb", 16)->decrypt(0, sector));
  EXPECT_EQ(hex(Bytes(sector).first(16)), "c10509c8cf7d6eee55d7205db7845a6f");
}

TEST(Cipher, LegacyAesGivesTheKnownSector) {
  test::TestKeys keys;
  const auto legacy = legacy_aes_cipher("image", &keys);
  ASSERT_TRUE(legacy);
  std::vector<std::byte> sector(512);
  ASSERT_TRUE((*legacy)->encrypt(3 * 512, sector));
  EXPECT_EQ(hex(Bytes(sector).first(16)), "99e410477582d233cc19e1381d606e14");
}

constexpr std::string_view kModes[] = {"xts-plain", "xts-plain64",      "cbc-plain",  "cbc-plain64",
                                       "ecb",       "cbc-essiv:sha256", "ecb-plain64"};

TEST(Cipher, EveryModeGivesBackWhatItTook) {
  for (const std::string_view mode : kModes) {
    for (const size_t key : {16U, 24U, 32U, 64U}) {
      const auto spec = parse_cipher("aes", mode);
      ASSERT_TRUE(spec);
      if (!good_key_size(*spec, key)) continue;
      const CipherPtr aes = cipher(mode, key);
      const std::vector<std::byte> plain = test::pattern(0, 5 * 512, 1);
      std::vector<std::byte> bytes = plain;
      ASSERT_TRUE(aes->encrypt(7 * 512, bytes));
      EXPECT_NE(bytes, plain) << mode;
      // A sector by itself is what it is among others.
      std::vector<std::byte> third(plain.begin() + 1024, plain.begin() + 1536);
      ASSERT_TRUE(aes->encrypt(9 * 512, third));
      EXPECT_TRUE(std::equal(third.begin(), third.end(), bytes.begin() + 1024)) << mode;
      ASSERT_TRUE(aes->decrypt(7 * 512, bytes));
      EXPECT_EQ(bytes, plain) << mode;
    }
  }
}

TEST(Cipher, PlainForgetsTheUpperHalfOfASectorsNumber) {
  constexpr uint64_t kTwoTiB = uint64_t{1} << 41;
  for (const auto& [mode, same] : std::vector<std::pair<std::string_view, bool>>{
           {"xts-plain", true}, {"xts-plain64", false}}) {
    std::vector<std::byte> low(512), high(512);
    ASSERT_TRUE(cipher(mode, 32)->encrypt(512, low));
    ASSERT_TRUE(cipher(mode, 32)->encrypt(kTwoTiB + 512, high));
    EXPECT_EQ(low == high, same) << mode;
  }
}

TEST(Cipher, ThreadsShareOne) {
  const CipherPtr aes = cipher("cbc-essiv:sha256", 32);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 200; ++i) {
        const std::vector<std::byte> plain = test::pattern(i, 1024, t);
        std::vector<std::byte> bytes = plain;
        ASSERT_TRUE(aes->encrypt(i * 512, bytes));
        ASSERT_TRUE(aes->decrypt(i * 512, bytes));
        ASSERT_EQ(bytes, plain);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Cipher, ModesThatAreNotKnownAreRefusedByName) {
  const auto refused = [](std::string_view name, std::string_view mode, std::string_view what) {
    const auto spec = parse_cipher(name, mode);
    ASSERT_FALSE(spec) << mode;
    EXPECT_EQ(spec.error().code(), Errc::unsupported);
    EXPECT_NE(spec.error().message().find(what), std::string::npos) << spec.error().message();
  };
  refused("serpent", "xts-plain64", "\"serpent\"");
  refused("aes", "cbc-benbi", "\"benbi\"");
  refused("aes", "lrw-plain64", "\"lrw-plain64\"");
  refused("aes", "cbc-lmk", "\"lmk\"");
  refused("aes", "cbc", "names no IV generator");
  refused("aes", "cbc-essiv", "needs a hash");
  refused("aes", "cbc-essiv:sha1", "\"sha1\"");
  refused("aes", "", "cipher mode");
}

TEST(Cipher, AKeyThatDoesNotFitIsRefused) {
  for (const size_t size : {0U, 1U, 15U, 17U, 24U, 48U, 63U, 65U, 128U}) {
    EXPECT_FALSE(make_cipher(*parse_cipher("aes", "xts-plain64"), counting(size))) << size;
  }
  EXPECT_FALSE(make_cipher(*parse_cipher("aes", "cbc-plain64"), counting(64)));
}

TEST(Cipher, WithoutAKeyNothingIsGivenOut) {
  std::vector<std::byte> sector(512);
  EXPECT_EQ(locked_cipher()->decrypt(0, sector).error().code(), Errc::no_key);
  EXPECT_EQ(locked_cipher()->encrypt(0, sector).error().code(), Errc::no_key);
}

}  // namespace
}  // namespace platter
