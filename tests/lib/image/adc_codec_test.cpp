#include "lib/image/adc_codec.h"

#include "tests/lib/image/codec_samples.h"
#include "tests/support/bytes.h"

namespace platter {
namespace {

using test::Buffer;

Buffer adc_stream(std::string_view text) {
  const Bytes bytes = test::bytes_of(text);
  return {bytes.begin(), bytes.end()};
}

bool decodes_adc(std::string_view stored, std::string_view plain) {
  return test::decodes(adc_codec(), adc_stream(stored), adc_stream(plain));
}

using namespace std::literals;

TEST(Adc, TakesLiterals) {
  EXPECT_TRUE(decodes_adc("\x80x"sv, "x"));
  EXPECT_TRUE(decodes_adc("\x82xyz\x80!"sv, "xyz!"));
}

TEST(Adc, RepeatsFromNear) {
  // 3 and 18 bytes, distances of 1 and of 4.
  EXPECT_TRUE(decodes_adc("\x80x\x00\x00"sv, "xxxx"));
  EXPECT_TRUE(decodes_adc("\x83wxyz\x3c\x03"sv, "wxyzwxyzwxyzwxyzwxyzwx"));
}

TEST(Adc, RepeatsFromFar) {
  // 4 and 67 bytes.
  EXPECT_TRUE(decodes_adc("\x82xyz\x40\x00\x02"sv, "xyzxyzx"));
  EXPECT_TRUE(decodes_adc("\x80x\x7f\x00\x00"sv, std::string(68, 'x')));
}

TEST(Adc, RepeatsFromTheFarthestDistances) {
  std::string stored, plain;
  for (int i = 0; i < 512; ++i) {
    stored += '\xff';
    for (int k = 0; k < 128; ++k) plain += static_cast<char>(i * 7 + k * 3 + i / 37);
    stored += plain.substr(plain.size() - 128);
  }
  EXPECT_TRUE(decodes_adc(stored + "\x40\xff\xff"s, plain + plain.substr(0, 4)));
  EXPECT_TRUE(decodes_adc(stored + "\x03\xff"s, plain + plain.substr(65536 - 1024, 3)));
}

TEST(Adc, LeavesForeignBytesBehindTheUnitAlone) {
  EXPECT_TRUE(decodes_adc("\x81xy\x7f\xff\xff"sv, "xy"));
}

TEST(Adc, RejectsAStreamThatEndsBeforeTheUnitIsFull) {
  EXPECT_FALSE(decodes_adc(""sv, "x"));
  EXPECT_FALSE(decodes_adc("\x81xy"sv, "xyz"));
  EXPECT_FALSE(decodes_adc("\x81x"sv, "xy"));
  EXPECT_FALSE(decodes_adc("\x80x\x00"sv, "xxxx"));
  EXPECT_FALSE(decodes_adc("\x80x\x40\x00"sv, "xxxxx"));
}

TEST(Adc, RejectsDistancesBeforeTheUnit) {
  EXPECT_FALSE(decodes_adc("\x00\x00"sv, "xxx"));
  EXPECT_FALSE(decodes_adc("\x80x\x00\x01"sv, "xxxx"));
  EXPECT_FALSE(decodes_adc("\x80x\x40\x00\x01"sv, "xxxxx"));
}

TEST(Adc, RejectsRunsPastTheUnit) {
  EXPECT_FALSE(decodes_adc("\x82xyz"sv, "xy"));
  EXPECT_FALSE(decodes_adc("\x80x\x00\x00"sv, "xxx"));
  EXPECT_FALSE(decodes_adc("\x80x\x40\x00\x00"sv, "xxxx"));
}

}  // namespace
}  // namespace platter
