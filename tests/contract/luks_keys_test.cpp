// The keys of a LUKS header while it is changed: whatever is lost, what was active opens.
#include "lib/crypto/luks1_keys.h"

#include <gtest/gtest.h>

#include "lib/crypto/luks1_create.h"
#include "tests/support/crash_file.h"
#include "tests/support/test_keys.h"
#include "tests/support/wrapped_file.h"

namespace platter {
namespace {

using test::bytes_of;
using test::Call;

constexpr std::string_view kFirst = test::kPassphrase, kSecond = "correct horse", kThird = "x";

// Small: AES-128, quick to open.
const MemoryFile& image() {
  static const auto made = [] {
    const auto value = [](std::string_view name) -> std::string_view {
      if (name == "cipher-alg") return "aes-128";
      return name == "iter-time" ? "1" : "";
    };
    const auto luks = make_luks(*parse_luks_shape(value), 4 * MiB, bytes_of(kFirst));
    auto file = std::make_shared<MemoryFile>("image");
    EXPECT_TRUE(file->write(0, luks->header));
    EXPECT_TRUE(file->write(luks->material_offset, luks->material.bytes()));
    EXPECT_TRUE(file->resize(5 * MiB));
    return file;
  }();
  return *made;
}

LuksPlace place(File& file) { return {.file = &file, .range = {0, 5 * MiB}}; }

// The slot it opens; none: no slot.
std::optional<size_t> opens(File& file, std::string_view passphrase) {
  const auto header = parse_luks(place(file));
  EXPECT_TRUE(header) << header.error().message();
  if (!header) return std::nullopt;
  const auto unlocked = unlock_luks(place(file), *header, bytes_of(passphrase));
  if (!unlocked) return std::nullopt;
  return unlocked->slot;
}

bool active(File& file, size_t slot) { return parse_luks(place(file))->slots[slot].active; }

Result<size_t> add(File& file, std::string_view known, std::string_view fresh) {
  return add_luks_key(
      place(file),
      {.passphrase = bytes_of(known), .new_passphrase = bytes_of(fresh), .milliseconds = 1});
}

TEST(LuksKeys, AreAddedAndRemovedOneByOne) {
  test::CrashFile file(image());
  const auto added = add(file, kFirst, kSecond);
  ASSERT_TRUE(added) << added.error().message();
  EXPECT_EQ(*added, 1U);
  EXPECT_EQ(opens(file, kFirst), 0U);
  EXPECT_EQ(opens(file, kSecond), 1U);
  ASSERT_TRUE(remove_luks_key(place(file), 0));
  EXPECT_EQ(opens(file, kFirst), std::nullopt);
  EXPECT_EQ(opens(file, kSecond), 1U);
  EXPECT_EQ(*add(file, kSecond, kThird), 0U);
  EXPECT_EQ(opens(file, kThird), 0U);
}

TEST(LuksKeys, NeedAKeyToAddOne) {
  test::CrashFile file(image());
  const auto refused = add(file, kSecond, kThird);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::no_key);
  EXPECT_EQ(file.unsynced(), 0U);
}

TEST(LuksKeys, FillEverySlotAndNoMore) {
  test::CrashFile file(image());
  for (size_t i = 1; i < kLuksSlots; ++i) {
    const auto added = add(file, kFirst, std::to_string(i));
    ASSERT_TRUE(added);
    EXPECT_EQ(*added, i);
  }
  const auto refused = add(file, kFirst, kThird);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::no_space);
  for (size_t i = 1; i < kLuksSlots; ++i) EXPECT_EQ(opens(file, std::to_string(i)), i);
}

TEST(LuksKeys, OnlyAnActiveOneIsRemoved) {
  test::CrashFile file(image());
  for (const size_t slot : {size_t{1}, kLuksSlots, ~size_t{0}}) {
    const auto refused = remove_luks_key(place(file), slot);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Errc::invalid);
  }
}

TEST(LuksKeys, ARemovedOneCannotBeBroughtBackByItsSlotsState) {
  test::CrashFile file(image());
  ASSERT_TRUE(add(file, kFirst, kSecond));
  std::vector<std::byte> before(592), after(592);
  ASSERT_TRUE(file.read_exact(0, before));
  ASSERT_TRUE(remove_luks_key(place(file), 0));
  ASSERT_TRUE(file.write(0, before));
  EXPECT_EQ(opens(file, kFirst), std::nullopt);
  EXPECT_EQ(opens(file, kSecond), 1U);
}

// Whatever is lost, a slot that is active opens.
TEST(LuksKeys, ASlotIsWholeOrInactiveWhenPowerIsLost) {
  // Of slot 6 the words lie in two sectors.
  test::CrashFile full(image());
  for (size_t i = 1; i < 6; ++i) ASSERT_TRUE(add(full, kFirst, std::to_string(i)));
  for (uint64_t seed = 0; seed < 6; ++seed) {
    std::mt19937_64 random(seed);
    const auto file = std::make_shared<test::CrashFile>(static_cast<const File&>(full));
    const auto look = [&](Call call) -> Result<void> {
      if (call == Call::read) return {};
      const auto crashed = file->crash(random);
      EXPECT_EQ(opens(*crashed, kFirst), 0U);
      if (active(*crashed, 6)) {
        EXPECT_EQ(opens(*crashed, kSecond), 6U);
      }
      return {};
    };
    test::WrappedFile wrapped(file, look);
    ASSERT_TRUE(add(wrapped, kFirst, kSecond));
    for (int i = 0; i < 4; ++i) EXPECT_EQ(opens(*file->crash(random), kSecond), 6U);
    ASSERT_TRUE(remove_luks_key(place(wrapped), 6));
    for (int i = 0; i < 4; ++i) {
      const auto crashed = file->crash(random);
      EXPECT_FALSE(active(*crashed, 6));
      // Durably overwritten, too.
      const Range material = parse_luks(place(*crashed))->slots[6].material;
      std::vector<std::byte> seen(material.length), now(material.length);
      ASSERT_TRUE(crashed->read_exact(material.offset, seen));
      ASSERT_TRUE(file->read_exact(material.offset, now));
      EXPECT_EQ(seen, now);
    }
  }
}

TEST(LuksKeys, AnErrorLeavesTheKeysThatWereThere) {
  for (uint64_t n = 1;; ++n) {
    const auto file = std::make_shared<test::CrashFile>(image());
    test::FailAt fail(n, EIO);
    test::WrappedFile wrapped(file, fail.hook());
    const auto added = add(wrapped, kFirst, kSecond);
    if (!fail.fired()) break;
    EXPECT_FALSE(added);
    EXPECT_EQ(opens(*file, kFirst), 0U);
  }
}

}  // namespace
}  // namespace platter
