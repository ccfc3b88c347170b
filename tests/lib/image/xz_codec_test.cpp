#include "lib/image/xz_codec.h"

#include <algorithm>
#include <array>

#include <lzma.h>

#include "tests/lib/image/codec_samples.h"
#include "tests/support/bytes.h"

namespace platter {
namespace {

using test::Buffer;
using test::text_like;

Buffer xzipped(const Buffer& plain, uint32_t dictionary = 1 << 20) {
  lzma_options_lzma options;
  EXPECT_EQ(lzma_lzma_preset(&options, 1), 0);
  options.dict_size = dictionary;
  lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
  Buffer out(lzma_stream_buffer_bound(plain.size()));
  size_t length = 0;
  EXPECT_EQ(lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, nullptr,
                                      reinterpret_cast<const uint8_t*>(plain.data()), plain.size(),
                                      reinterpret_cast<uint8_t*>(out.data()), &length, out.size()),
            LZMA_OK);
  out.resize(length);
  return out;
}

bool decodes_xz(const Buffer& stored, const Buffer& plain) {
  return test::decodes(xz_codec(), stored, plain);
}

TEST(Xz, ReadsAStream) {
  for (const size_t size : {512U, 524288U}) {
    EXPECT_TRUE(decodes_xz(xzipped(text_like(size)), text_like(size))) << size;
    EXPECT_TRUE(decodes_xz(xzipped(Buffer(size)), Buffer(size))) << size;
    EXPECT_TRUE(decodes_xz(xzipped(test::noise(size, 1)), test::noise(size, 1))) << size;
  }
}

TEST(Xz, ReadsAStreamWithForeignBytesBehindIt) {
  Buffer stored = xzipped(text_like(4096));
  stored.resize(stored.size() + 511, std::byte{0xff});
  EXPECT_TRUE(decodes_xz(stored, text_like(4096)));
}

TEST(Xz, RejectsAStreamOfAnotherLengthThanTheUnit) {
  const Buffer stored = xzipped(text_like(4096));
  EXPECT_FALSE(decodes_xz(stored, text_like(4095)));
  EXPECT_FALSE(decodes_xz(stored, text_like(4097)));
}

TEST(Xz, RejectsACutStream) {
  Buffer stored = xzipped(text_like(4096));
  for (size_t n = stored.size(); n-- > 0;) {
    stored.resize(n);
    EXPECT_FALSE(decodes_xz(stored, text_like(4096))) << n;
  }
}

TEST(Xz, RejectsDamage) {
  const Buffer plain = text_like(4096);
  for (const size_t at : {0U, 20U, 100U}) {
    Buffer stored = xzipped(plain);
    stored[at] ^= std::byte{1};
    EXPECT_FALSE(decodes_xz(stored, plain)) << at;
  }
}

TEST(Xz, RefusesADictionaryOfMoreMemoryThanItMayHave) {
  Buffer stored = xzipped(text_like(4096), 1 << 20);
  Buffer unit(4096);
  // The filter of a block's header: LZMA2, one byte of properties, and that, the length of the
  // dictionary as 2 or 3 times a power of two. At the end is the header's CRC-32.
  constexpr std::array kLzma2{std::byte{0x21}, std::byte{1}};
  const auto properties_at =
      std::search(stored.begin(), stored.end(), kLzma2.begin(), kLzma2.end()) + 2;
  const auto with_dictionary = [&](unsigned properties) {
    *properties_at = static_cast<std::byte>(properties);
    const auto* const header = reinterpret_cast<const uint8_t*>(stored.data()) + 12;
    const size_t size = lzma_block_header_size_decode(header[0]);
    store(MutableBytes(stored), 12 + size - 4, le32(lzma_crc32(header, size - 4, 0)));
    return xz_codec().decode(stored, unit);
  };
  EXPECT_TRUE(with_dictionary(28));  // 64 MiB
  EXPECT_TRUE(unit == text_like(4096));
  const auto refused = with_dictionary(40);  // 4 GiB - 1
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::unsupported);
}

}  // namespace
}  // namespace platter
