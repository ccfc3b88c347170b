#include "lib/crypto/hash.h"

#include <gtest/gtest.h>

#include "lib/crypto/af_split.h"
#include "lib/crypto/secret.h"
#include "tests/support/bytes.h"
#include "tests/support/hex.h"

namespace platter {
namespace {

using test::bytes_of;
using test::counting;
using test::hex;

TEST(Hash, HasTheNamesAndSizesOfTheSpecification) {
  for (const auto& [name, size] :
       std::vector<std::pair<std::string_view, size_t>>{{"sha1", 20},
                                                        {"sha224", 28},
                                                        {"sha256", 32},
                                                        {"sha384", 48},
                                                        {"sha512", 64},
                                                        {"ripemd160", 20}}) {
    const auto hash = find_hash(name);
    ASSERT_TRUE(hash) << name;
    EXPECT_EQ(hash_name(*hash), name);
    EXPECT_EQ(digest_size(*hash), size);
    std::vector<std::byte> out(size);
    EXPECT_TRUE(digest(*hash, {bytes_of("abc")}, out));
  }
  EXPECT_FALSE(find_hash("whirlpool"));
  EXPECT_FALSE(find_hash("md5"));
  EXPECT_FALSE(find_hash(""));
}

TEST(Hash, DigestsPartsAsOne) {
  std::vector<std::byte> whole(20), parts(20);
  ASSERT_TRUE(digest(Hash::sha1, {bytes_of("abc")}, whole));
  ASSERT_TRUE(digest(Hash::sha1, {bytes_of("a"), bytes_of(""), bytes_of("bc")}, parts));
  EXPECT_EQ(hex(whole), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(whole, parts);
}

TEST(Pbkdf2, GivesTheKnownKeys) {
  std::vector<std::byte> out(32);
  ASSERT_TRUE(pbkdf2(Hash::sha256, bytes_of("hunter2"), counting(32), 1000, out));
  EXPECT_EQ(hex(out), "5b472666e50360c59c7297d3c07062f1cb94d6e971818861d00a3d0dc0c15a3b");
  out.resize(20);
  ASSERT_TRUE(pbkdf2(Hash::sha1, bytes_of("hunter2"), counting(32), 1000, out));
  EXPECT_EQ(hex(out), "91ee98e0691d09854a66d922efbddedf64ab3d27");
}

TEST(Pbkdf2, TakesEveryByteOfAPassphrase) {
  std::vector<std::byte> plain(32), longer(32), none(32);
  ASSERT_TRUE(pbkdf2(Hash::sha256, bytes_of(std::string_view("a\0b", 3)), counting(8), 10, longer));
  ASSERT_TRUE(pbkdf2(Hash::sha256, bytes_of("a"), counting(8), 10, plain));
  ASSERT_TRUE(pbkdf2(Hash::sha256, {}, counting(8), 10, none));
  EXPECT_NE(plain, longer);
  EXPECT_NE(plain, none);
}

TEST(Pbkdf2, IsMeasuredWithinItsLimits) {
  const auto few = measure_iterations(Hash::sha256, 32, 1);
  ASSERT_TRUE(few);
  EXPECT_GE(*few, 1U);
  const auto many = measure_iterations(Hash::sha256, 32, ~uint32_t{0});
  ASSERT_TRUE(many);
  EXPECT_LE(*many, kMaxIterations);
}

TEST(AfSplit, DiffusesAsKnown) {
  std::vector<std::byte> block(32);
  ASSERT_TRUE(af_diffuse(Hash::sha256, block));
  EXPECT_EQ(hex(block), "6db65fd59fd356f6729140571b5bcd6bb3b83492a16e1bf0a3884442fc3c8a0e");
  block.assign(32, std::byte{0});
  // The last block of a digest is cut.
  ASSERT_TRUE(af_diffuse(Hash::sha1, block));
  EXPECT_EQ(hex(block), "d3399b7262fb56cb9ed053d68db9291c410839c4e63eba4855e4c0ba1a13ae3b");
}

TEST(AfSplit, MergesAsKnown) {
  std::vector<std::byte> key(32);
  ASSERT_TRUE(af_merge(Hash::sha256, counting(96), 3, key));
  EXPECT_EQ(hex(key), "2ec9dd1c376c60c2a1048733968915ec517b026e72b9bb588b696969840225ec");
}

TEST(AfSplit, OneBitLostLosesTheKey) {
  for (const Hash hash : {Hash::sha1, Hash::sha256, Hash::sha512}) {
    for (const size_t size : {16U, 32U, 64U}) {
      for (const uint32_t stripes : {1U, 2U, 50U}) {
        const Secret key = Secret::random(size);
        std::vector<std::byte> split(size * stripes), merged(size);
        ASSERT_TRUE(af_split(hash, key.bytes(), stripes, split));
        ASSERT_TRUE(af_merge(hash, split, stripes, merged));
        EXPECT_EQ(hex(merged), hex(key.bytes()));
        split.front() ^= std::byte{1};
        ASSERT_TRUE(af_merge(hash, split, stripes, merged));
        EXPECT_NE(hex(merged), hex(key.bytes()));
      }
    }
  }
}

TEST(Secret, MovesAndIsCutAndIsNeverShort) {
  Secret a = Secret::copy_of(bytes_of("passphrase"));
  Secret b = std::move(a);
  EXPECT_EQ(test::text_of(b.bytes()), "passphrase");
  b.cut(4);
  EXPECT_EQ(test::text_of(b.bytes()), "pass");
  a = std::move(b);
  EXPECT_EQ(test::text_of(a.bytes()), "pass");
  EXPECT_EQ(Secret().size(), 0U);
  EXPECT_EQ(Secret(10000).size(), 10000U);
  EXPECT_TRUE(equal_in_constant_time(bytes_of("ab"), bytes_of("ab")));
  EXPECT_FALSE(equal_in_constant_time(bytes_of("ab"), bytes_of("aB")));
  EXPECT_FALSE(equal_in_constant_time(bytes_of("ab"), bytes_of("abc")));
}

}  // namespace
}  // namespace platter
