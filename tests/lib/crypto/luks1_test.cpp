#include "lib/crypto/luks1.h"

#include <gtest/gtest.h>

#include "lib/crypto/luks1_create.h"
#include "lib/crypto/luks1_layout.h"
#include "tests/support/test_keys.h"

namespace platter {
namespace {

using test::bytes_of;

constexpr uint64_t kSize = 4 * MiB;

// A header that is right; a test breaks one field of it.
struct Builder {
  RawLuksHeader raw;
  std::vector<std::byte> material;
  uint64_t size = kSize;

  Builder() {
    const auto none = [](std::string_view name) {
      return name == "iter-time" ? std::string_view("1") : std::string_view();
    };
    const auto shape = parse_luks_shape(none);
    auto made = make_luks(*shape, 2 * MiB, bytes_of(test::kPassphrase));
    raw = load<RawLuksHeader>(made->header);
    material.assign(made->material.bytes().begin(), made->material.bytes().end());
  }
  std::shared_ptr<MemoryFile> file() const {
    auto out = std::make_shared<MemoryFile>("test.luks");
    EXPECT_TRUE(out->write(0, as_bytes_of(raw)));
    EXPECT_TRUE(out->write(4096, material));
    EXPECT_TRUE(out->resize(size));
    return out;
  }
};

const Builder& good() {
  static const Builder builder;
  return builder;
}

LuksPlace place(File& file) { return {.file = &file, .range = {0, file.stat()->size}}; }

void expect_refused(const Builder& b, Errc code, std::string_view what) {
  const auto file = b.file();
  const auto header = parse_luks(place(*file));
  ASSERT_FALSE(header) << what;
  EXPECT_EQ(header.error().code(), code) << header.error().message();
  EXPECT_NE(header.error().message().find(what), std::string::npos) << header.error().message();
}

TEST(Luks, OpensWithItsPassphraseAndNoOther) {
  const auto file = good().file();
  const auto header = parse_luks(place(*file));
  ASSERT_TRUE(header) << header.error().message();
  EXPECT_EQ(header->cipher_mode, "xts-plain64");
  EXPECT_EQ(header->payload_offset, 2 * MiB);
  EXPECT_TRUE(unlock_luks(place(*file), *header, bytes_of("hunter2")));
  for (const std::string_view wrong : {"", "hunter", "hunter2 ", "Hunter2"}) {
    const auto refused = unlock_luks(place(*file), *header, bytes_of(wrong));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Errc::no_key);
    EXPECT_EQ(refused.error().message(), "wrong passphrase");
  }
  const auto newline = unlock_luks(place(*file), *header, bytes_of("hunter2\n"));
  ASSERT_FALSE(newline);
  EXPECT_NE(newline.error().message().find("newline"), std::string::npos);
}

TEST(Luks, OpensInsideAnotherFile) {
  const auto file = std::make_shared<MemoryFile>("outer");
  ASSERT_TRUE(file->write(64 * KiB, as_bytes_of(good().raw)));
  ASSERT_TRUE(file->write(64 * KiB + 4096, good().material));
  ASSERT_TRUE(file->resize(4 * MiB));
  const LuksPlace inside{.file = file.get(), .range = {64 * KiB, 2 * MiB}, .has_payload = false};
  const auto header = parse_luks(inside);
  ASSERT_TRUE(header) << header.error().message();
  EXPECT_TRUE(unlock_luks(inside, *header, bytes_of("hunter2")));
}

TEST(LuksHeader, ThatIsNoneIsAnotherFormat) {
  Builder b = good();
  b.raw.magic[5] = '\xbf';
  expect_refused(b, Errc::wrong_format, "magic");
}

TEST(LuksHeader, OfVersionTwoIsRefusedInSoManyWords) {
  Builder b = good();
  b.raw.version = 2;
  expect_refused(b, Errc::unsupported, "version 2 is not supported");
}

TEST(LuksHeader, CutShortIsTruncated) {
  Builder b = good();
  b.size = 500;
  expect_refused(b, Errc::corrupt, "truncated");
}

TEST(LuksHeader, NamesWithoutAnEndAreNotReadOn) {
  for (auto RawLuksHeader::*text :
       {&RawLuksHeader::cipher_name, &RawLuksHeader::cipher_mode, &RawLuksHeader::hash_spec}) {
    Builder b = good();
    (b.raw.*text).fill('x');
    expect_refused(b, Errc::corrupt, "has no end");
  }
  Builder b = good();
  b.raw.uuid.fill('x');
  expect_refused(b, Errc::corrupt, "UUID has no end");
}

TEST(LuksHeader, AHugeKeyAllocatesNothing) {
  for (const uint32_t size : {0U, 513U, 0xffff'ffffU}) {
    Builder b = good();
    b.raw.key_bytes = size;
    expect_refused(b, Errc::corrupt, "a key of ");
  }
}

TEST(LuksHeader, HugeStripesAllocateNothing) {
  for (const uint32_t stripes : {0U, kMaxLuksStripes + 1, 0xffff'ffffU}) {
    Builder b = good();
    b.raw.slots[0].stripes = stripes;
    expect_refused(b, Errc::corrupt, "stripes");
  }
}

TEST(LuksHeader, KeyMaterialPastTheEndDoesNotWrapAround) {
  for (const uint32_t offset : {8192U - 499, 8192U, 0x0080'0000U, 0x0100'0000U, 0xffff'ffffU}) {
    Builder b = good();
    b.raw.payload_offset = 0;
    b.raw.slots[0].material_offset = offset;
    expect_refused(b, Errc::corrupt, "key slot 0: its key material lies past the end");
  }
}

TEST(LuksHeader, KeyMaterialInTheHeaderIsRefused) {
  for (const uint32_t offset : {0U, 1U}) {
    Builder b = good();
    b.raw.slots[0].material_offset = offset;
    expect_refused(b, Errc::corrupt, "lies in the header");
  }
}

TEST(LuksHeader, KeyMaterialOverThePayloadIsRefused) {
  Builder b = good();
  b.raw.payload_offset = 100;
  expect_refused(b, Errc::corrupt, "overlaps the payload");
}

TEST(LuksHeader, ActiveSlotsThatOverlapAreRefused) {
  Builder b = good();
  b.raw.slots[3] = b.raw.slots[0];
  expect_refused(b, Errc::corrupt, "key slots 0 and 3 overlap");
}

TEST(LuksHeader, AnInactiveSlotOverAnActiveOneIsNotUsed) {
  Builder b = good();
  b.raw.slots[5].material_offset = b.raw.slots[0].material_offset;
  const auto file = b.file();
  const auto header = parse_luks(place(*file));
  ASSERT_TRUE(header) << header.error().message();
  EXPECT_NE(header->slots[5].problem.find("overlaps that of slot 0"), std::string::npos);
  EXPECT_TRUE(header->slots[0].problem.empty());
}

TEST(LuksHeader, ASlotIsActiveOrNot) {
  Builder b = good();
  b.raw.slots[7].active = 1;
  expect_refused(b, Errc::corrupt, "key slot 7 is neither active nor not");
}

TEST(LuksHeader, IterationsAreThere) {
  Builder b = good();
  b.raw.slots[0].iterations = 0;
  expect_refused(b, Errc::corrupt, "no iterations");
  b = good();
  b.raw.digest_iterations = 0;
  expect_refused(b, Errc::corrupt, "no iterations");
}

TEST(LuksHeader, ThePayloadIsBehindTheHeaderAndInTheFile) {
  Builder b = good();
  b.raw.payload_offset = 1;
  expect_refused(b, Errc::corrupt, "payload lies in the header");
  b.raw.payload_offset = 0xffff'ffff;
  expect_refused(b, Errc::corrupt, "past the end of the file");
}

void expect_locked(const Builder& b, Errc code, std::string_view what) {
  const auto file = b.file();
  const auto header = parse_luks(place(*file));
  ASSERT_TRUE(header) << header.error().message();
  const auto unlocked = unlock_luks(place(*file), *header, bytes_of("hunter2"));
  ASSERT_FALSE(unlocked);
  EXPECT_EQ(unlocked.error().code(), code);
  EXPECT_NE(unlocked.error().message().find(what), std::string::npos) << unlocked.error().message();
}

TEST(LuksUnlock, HostileIterationsDoNotHang) {
  Builder b = good();
  b.raw.slots[0].iterations = 0xffff'ffff;
  expect_locked(b, Errc::unsupported, "key slot 0 asks for 4294967295 iterations");
  b = good();
  b.raw.digest_iterations = 0xffff'ffff;
  expect_locked(b, Errc::unsupported, "its digest asks for 4294967295 iterations");
}

TEST(LuksUnlock, TellsAHeaderWithoutKeysFromAWrongPassphrase) {
  Builder b = good();
  b.raw.slots[0].active = kLuksInactive;
  expect_locked(b, Errc::corrupt, "no key slot is active");
}

TEST(LuksUnlock, AlgorithmsThatAreNotKnownAreNamed) {
  Builder b = good();
  b.raw.cipher_name = {'t', 'w', 'o', 'f', 'i', 's', 'h'};
  expect_locked(b, Errc::unsupported, "\"twofish\"");
  b = good();
  b.raw.hash_spec = {'w', 'h', 'i', 'r', 'l', 'p', 'o', 'o', 'l'};
  expect_locked(b, Errc::unsupported, "\"whirlpool\"");
  b = good();
  b.raw.key_bytes = 24;
  expect_locked(b, Errc::corrupt, "a key of 24 bytes does not fit");
}

TEST(LuksUnlock, AKeyWhoseMaterialEndsInsideASectorOpens) {
  const auto value = [](std::string_view name) -> std::string_view {
    if (name == "cipher-alg") return "aes-192";
    if (name == "cipher-mode") return "cbc";
    return name == "iter-time" ? "1" : "";
  };
  auto made = make_luks(*parse_luks_shape(value), 1 * MiB, bytes_of("hunter2"));
  ASSERT_TRUE(made);
  const auto file = std::make_shared<MemoryFile>("aes-192");
  ASSERT_TRUE(file->write(0, made->header));
  ASSERT_TRUE(file->write(made->material_offset, made->material.bytes()));
  ASSERT_TRUE(file->resize(2 * MiB));
  const auto header = parse_luks(place(*file));
  ASSERT_TRUE(header) << header.error().message();
  EXPECT_EQ(header->key_bytes, 24U);
  EXPECT_TRUE(unlock_luks(place(*file), *header, bytes_of("hunter2")));
}

TEST(LuksShape, RefusesWhatCannotBe) {
  const auto refused = [](std::string_view option, std::string_view given, std::string_view what) {
    const auto shape = parse_luks_shape(
        [=](std::string_view name) { return name == option ? given : std::string_view(); });
    ASSERT_FALSE(shape) << option << given;
    EXPECT_EQ(shape.error().code(), Errc::invalid);
    EXPECT_NE(shape.error().message().find(what), std::string::npos) << shape.error().message();
  };
  refused("cipher-alg", "serpent-256", "cipher-alg=serpent-256: must be one of aes-128");
  refused("cipher-alg", "aes-192", "no such AES in XTS");
  refused("cipher-mode", "ctr", "must be one of xts, cbc, ecb");
  refused("ivgen-alg", "benbi", "must be one of plain, plain64, essiv");
  refused("ivgen-hash-alg", "sha256", "goes with ivgen-alg=essiv");
  refused("hash-alg", "md5", "must be one of sha1");
  for (const std::string_view time : {"0", "x", "-1", "60001", "1 "}) {
    refused("iter-time", time, "must be 1 to 60000 ms");
  }
}

}  // namespace
}  // namespace platter
