// Descriptors change as a whole, whenever the power is lost.
#include "formats/vmdk/descriptor_store.h"

#include <gtest/gtest.h>

#include "tests/support/bytes.h"
#include "tests/support/crash_file.h"
#include "tests/support/wrapped_file.h"

namespace platter::vmdk {
namespace {

using test::Call;
using test::CrashFile;

// Where it lies in these tests: in a file of its own, or between other bytes.
struct Home {
  std::string name;
  std::optional<Range> area;
  DescriptorStore store(const FilePtr& file) const {
    return area ? DescriptorStore(file, *area) : DescriptorStore(file);
  }
  uint64_t at() const { return area ? area->offset : 0; }
};
void PrintTo(const Home& home, std::ostream* out) { *out << home.name; }

std::string text_of(char letter, size_t length) {
  std::string text;
  for (size_t i = 0; i < length; ++i) text += i % 40 == 39 ? '\n' : letter;
  return text;
}

class VmdkDescriptorStore : public testing::TestWithParam<Home> {
 protected:
  // With this text, and other programs' bytes behind its NUL.
  std::shared_ptr<CrashFile> start(const std::string& text, bool rest = false) {
    auto file = std::make_shared<CrashFile>();
    const Home& home = GetParam();
    if (home.area) {
      EXPECT_TRUE(file->write(0, std::vector(home.area->end() + 512, std::byte{0xee})));
    }
    std::string whole = text;
    if (home.area) whole.resize(home.area->length, '\0');
    if (rest && home.area) whole.replace(text.size() + 1, 20, "rests of a long text");
    EXPECT_TRUE(file->write(home.at(), test::bytes_of(whole)));
    EXPECT_TRUE(file->sync());
    return file;
  }
  std::string read(const FilePtr& file) {
    const auto text = GetParam().store(file).read();
    return text ? *text : "error: " + text.error().message();
  }
};

// Whatever the lengths, and with a second change after the first was cut short.
TEST_P(VmdkDescriptorStore, HasTheOldTextOrTheNewOneWhenPowerIsLost) {
  for (const auto& [from, to] : std::vector<std::pair<size_t, size_t>>{{100, 200},
                                                                       {200, 100},
                                                                       {500, 700},
                                                                       {700, 500},
                                                                       {1024, 1100},
                                                                       {1100, 1024},
                                                                       {1500, 512},
                                                                       {512, 1500},
                                                                       {300, 300},
                                                                       {1500, 1500}}) {
    const std::string old_text = text_of('a', from), new_text = text_of('b', to);
    const std::string last_text = text_of('c', 900);
    for (uint64_t seed = 0; seed < 20; ++seed) {
      std::mt19937_64 random(seed);
      const auto file = start(old_text, seed % 2 == 0);
      std::shared_ptr<MemoryFile> cut;
      const auto look = [&](Call call) -> Result<void> {
        if (call == Call::read) return {};
        const auto after = file->crash(random);
        const std::string seen = read(after);
        EXPECT_TRUE(seen == old_text || seen == new_text) << from << " " << to;
        if (random() % 3 == 0) cut = after;
        return {};
      };
      DescriptorStore store = GetParam().store(std::make_shared<test::WrappedFile>(file, look));
      const auto done = store.replace(new_text);
      ASSERT_TRUE(done) << done.error().message();
      EXPECT_EQ(read(file->crash(random)), new_text);
      if (!cut) continue;
      const auto again = std::make_shared<CrashFile>(*cut);
      const std::string was = read(again);
      const auto look_again = [&](Call call) -> Result<void> {
        if (call == Call::read) return {};
        const std::string seen = read(again->crash(random));
        EXPECT_TRUE(seen == was || seen == last_text) << seen;
        return {};
      };
      ASSERT_TRUE(GetParam()
                      .store(std::make_shared<test::WrappedFile>(again, look_again))
                      .replace(last_text));
      EXPECT_EQ(read(again->crash(random)), last_text);
    }
  }
}

TEST_P(VmdkDescriptorStore, LeavesNothingBehind) {
  for (const size_t length : {100U, 600U, 1024U, 40U}) {
    const auto file = start(text_of('a', 700));
    ASSERT_TRUE(GetParam().store(file).replace(text_of('b', length)));
    std::string whole = text_of('b', length);
    if (GetParam().area) whole.resize(2048, '\0');
    EXPECT_TRUE(test::read_text(*file, GetParam().at(), 2048) == whole) << length;
    if (GetParam().area) {
      EXPECT_EQ(test::read_text(*file, GetParam().area->end(), 512), std::string(512, '\xee'));
    }
  }
}

// Only what differs is written: values of the same length, each in its own sector.
TEST_P(VmdkDescriptorStore, TornValuesOfOneLengthTakeOneSync) {
  const std::string old_text = text_of('a', 1200);
  std::string new_text = old_text;
  new_text.replace(100, 8, "12345678");
  new_text.replace(1100, 8, "12345678");
  const auto file = start(old_text);
  unsigned syncs = 0;
  uint64_t writes = 0;
  const auto count = [&](Call call) -> Result<void> {
    syncs += call == Call::sync ? 1U : 0U;
    writes += call == Call::write ? 1U : 0U;
    return {};
  };
  DescriptorStore store = GetParam().store(std::make_shared<test::WrappedFile>(file, count));
  ASSERT_TRUE(store.replace(new_text, DescriptorStore::Torn::harmless));
  EXPECT_EQ(syncs, 1u);
  EXPECT_EQ(writes, 2u);
  std::mt19937_64 random(1);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(read(file->crash(random)), new_text);
}

// Another program that wrote the text since has the last word.
TEST_P(VmdkDescriptorStore, CopiesOfAnInterruptedChangeDoNotCountForAnotherText) {
  std::mt19937_64 random(1);
  const std::string old_text = text_of('a', 700), new_text = text_of('b', 700);
  for (unsigned stop = 1; stop < 4; ++stop) {
    const auto file = start(old_text);
    unsigned count = 0;
    const auto fail = [&](Call call) -> Result<void> {
      if (call != Call::sync || ++count < stop) return {};
      return Error(Errc::io, "power");
    };
    (void)GetParam().store(std::make_shared<test::WrappedFile>(file, fail)).replace(new_text);
    ASSERT_TRUE(file->write(GetParam().at() + 5, test::bytes_of("XYZ")));
    std::string other = read(file);
    EXPECT_EQ(other.substr(5, 3), "XYZ") << stop;
  }
}

TEST_P(VmdkDescriptorStore, ATextThatIsTooLongIsRefusedAndNothingChanges) {
  const std::string old_text = text_of('a', 700);
  const auto file = start(old_text);
  DescriptorStore store = GetParam().store(file);
  const auto done = store.replace(std::string(GetParam().area ? 9000 : (1 << 20) + 1, 'x'));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::no_space);
  EXPECT_EQ(read(file), old_text);
}

INSTANTIATE_TEST_SUITE_P(Homes, VmdkDescriptorStore,
                         testing::Values(Home{"own_file", {}},
                                         Home{"embedded", Range{512, 20 * 512}}),
                         [](const auto& test) { return test.param.name; });

TEST(VmdkDescriptorFile, ThatIsFarTooLongIsRefused) {
  const auto file = std::make_shared<MemoryFile>("x");
  ASSERT_TRUE(file->resize(uint64_t{1} << 40));
  EXPECT_EQ(DescriptorStore(file).read().error().code(), Errc::corrupt);
  ASSERT_TRUE(file->resize(0));
  ASSERT_TRUE(file->write(0, std::vector<std::byte>((1 << 20) + 1, std::byte{'x'})));
  EXPECT_EQ(DescriptorStore(file).read().error().code(), Errc::corrupt);
}

}  // namespace
}  // namespace platter::vmdk
