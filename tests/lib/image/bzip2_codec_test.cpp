#include "lib/image/bzip2_codec.h"

#include <bzlib.h>

#include "tests/lib/image/codec_samples.h"
#include "tests/support/bytes.h"

namespace platter {
namespace {

using test::Buffer;
using test::text_like;

Buffer bzipped(const Buffer& plain) {
  auto length = static_cast<unsigned>(plain.size() + plain.size() / 100 + 600);
  Buffer out(length);
  EXPECT_EQ(BZ2_bzBuffToBuffCompress(reinterpret_cast<char*>(out.data()), &length,
                                     reinterpret_cast<char*>(const_cast<std::byte*>(plain.data())),
                                     static_cast<unsigned>(plain.size()), 9, 0, 0),
            BZ_OK);
  out.resize(length);
  return out;
}

bool decodes_bzip2(const Buffer& stored, const Buffer& plain) {
  return test::decodes(bzip2_codec(), stored, plain);
}

TEST(Bzip2, ReadsAStream) {
  for (const size_t size : {512U, 524288U}) {
    EXPECT_TRUE(decodes_bzip2(bzipped(text_like(size)), text_like(size))) << size;
    EXPECT_TRUE(decodes_bzip2(bzipped(Buffer(size)), Buffer(size))) << size;
    EXPECT_TRUE(decodes_bzip2(bzipped(test::noise(size, 1)), test::noise(size, 1))) << size;
  }
}

TEST(Bzip2, ReadsAStreamWithForeignBytesBehindIt) {
  Buffer stored = bzipped(text_like(4096));
  stored.resize(stored.size() + 511, std::byte{0xff});
  EXPECT_TRUE(decodes_bzip2(stored, text_like(4096)));
}

TEST(Bzip2, RejectsAStreamOfAnotherLengthThanTheUnit) {
  const Buffer stored = bzipped(text_like(4096));
  EXPECT_FALSE(decodes_bzip2(stored, text_like(4095)));
  EXPECT_FALSE(decodes_bzip2(stored, text_like(4097)));
}

TEST(Bzip2, RejectsACutStream) {
  Buffer stored = bzipped(text_like(4096));
  for (size_t n = stored.size(); n-- > 0;) {
    stored.resize(n);
    EXPECT_FALSE(decodes_bzip2(stored, text_like(4096))) << n;
  }
}

TEST(Bzip2, RejectsDamage) {
  const Buffer plain = text_like(4096);
  for (const size_t at : {0U, 4U, 10U, 100U}) {
    Buffer stored = bzipped(plain);
    stored[at] ^= std::byte{1};
    EXPECT_FALSE(decodes_bzip2(stored, plain)) << at;
  }
}

}  // namespace
}  // namespace platter
