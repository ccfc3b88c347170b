// Images of Apple that other programs read as well: what tests/support makes is what they take for
// one, and all decode it to the same disk.
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/ops/check.h"
#include "tests/support/bytes.h"
#include "tests/support/dmg_builder.h"
#include "tests/support/lzfse_encoder.h"
#include "tests/support/qemu.h"

namespace platter::test {
namespace {

bool have(const std::string& program) {
  return std::system(("command -v " + program + " >/dev/null 2>&1").c_str()) == 0;
}

// Lines of text with numbers, noise, and long runs.
std::vector<std::byte> content(size_t size, unsigned seed) {
  std::vector<std::byte> out;
  for (unsigned i = seed; out.size() < size; ++i) {
    append(out, bytes_of(fmt::format("line {} of the disk of seed {}\n", i, seed)));
    if (i % 50 == 0) append(out, noise(300, i));
    if (i % 80 == 0) out.resize(out.size() + 2000, static_cast<std::byte>(i));
  }
  out.resize(size);
  return out;
}

std::string platter_reads(const std::string& path) {
  const auto container = Container::open(path);
  if (!container) return container.error().message();
  const View& view = *(*container)->live();
  std::string disk(view.size(), 'x');
  const auto done = view.read(0, std::as_writable_bytes(std::span(disk)));
  return done ? disk : done.error().message();
}

struct Packed {
  std::string name;
  uint32_t type = 0;
  bool dmg2img = false, qemu = false;
  LzfseBlocks::Kind kind = LzfseBlocks::Kind::v2;  // of LZFSE; 7-Zip does not know v1
};

class DmgOfTheTests : public testing::TestWithParam<Packed> {
 protected:
  // Two compressed chunks, raw sectors and zeroes; disk_ is what is in it.
  void make() {
    DmgBuilder builder{.parts = {{.name = "disk (Apple_HFS : 0)"}}};
    DmgBuilder::Part& part = builder.parts[0];
    for (const unsigned seed : {1U, 2U}) {
      const auto plain = content(512 * 300, seed);
      DmgBuilder::add(part, GetParam().type, plain);
      if (GetParam().type == kDmgLzfse) {
        part.chunks.back().stored = lzfse_encode(plain, {.kind = GetParam().kind});
      }
      disk_ += text_of(plain);
    }
    DmgBuilder::add(part, kDmgZero, std::vector<std::byte>(512 * 100));
    disk_.append(512 * 100, '\0');
    const auto raw = content(512 * 20, 3);
    DmgBuilder::add(part, kDmgRaw, raw);
    disk_ += text_of(raw);
    builder.sectors = part.sectors;
    write_file(dir_ / "x.dmg", builder.build());
  }
  const TempDir dir_;
  std::string disk_;
};

TEST_P(DmgOfTheTests, ReadsTheSameToEveryProgramThatKnowsTheCodec) {
  make();
  EXPECT_TRUE(platter_reads(dir_ / "x.dmg") == disk_);
  const auto report = check_image({.path = dir_ / "x.dmg"});
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->corruptions, 0u);
  unsigned asked = 0;
  if (have("7z")) {
    // Its test compares the checksums.
    MUST_RUN(dir_, "7z t -tdmg x.dmg && 7z e -tdmg -so x.dmg >7z.raw");
    EXPECT_TRUE(read_file(dir_ / "7z.raw") == disk_);
    ++asked;
  }
  if (GetParam().dmg2img && have("dmg2img")) {
    MUST_RUN(dir_, "dmg2img -i x.dmg -o dmg2img.raw");
    EXPECT_TRUE(read_file(dir_ / "dmg2img.raw") == disk_);
    ++asked;
  }
  if (GetParam().qemu && have_qemu()) {
    MUST_RUN(dir_, "qemu-img convert -f dmg -O raw x.dmg qemu.raw");
    EXPECT_TRUE(read_file(dir_ / "qemu.raw") == disk_);
    ++asked;
  }
  if (asked == 0) GTEST_SKIP() << "neither 7z nor dmg2img nor qemu-img is installed";
}

using Kind = LzfseBlocks::Kind;

INSTANTIATE_TEST_SUITE_P(Codecs, DmgOfTheTests,
                         testing::Values(Packed{"raw", kDmgRaw, true, true},
                                         Packed{"adc", kDmgAdc, true},
                                         Packed{"zlib", kDmgZlib, true, true},
                                         Packed{"bzip2", kDmgBzip2, true}, Packed{"xz", kDmgXz},
                                         Packed{"lzvn", kDmgLzfse, false, false, Kind::lzvn},
                                         Packed{"lzfse_v2", kDmgLzfse, false, false, Kind::v2}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter::test
