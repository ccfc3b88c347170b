// Images with some of their bytes broken, where it hurts: nothing crashes, hangs or answers outside
// the contract. Most wounds are sealed with the right checksum.
#include <random>

#include <gtest/gtest.h>

#include "tests/formats/vhdx/vhdx_disk.h"
#include "tests/support/rounds.h"

namespace platter::vhdx {
namespace {

using test::VhdxBuilder;

VhdxBuilder seed_image(uint64_t which) {
  VhdxBuilder builder{.parameters = which % 2 == 0 ? 0U : 2U};
  builder.locator = {{"parent_linkage", "{aaaaaaaa-0000-4000-8000-000000000001}"},
                     {"relative_path", ".\\base.vhdx"}};
  builder.put_block(0, 0, 0x10);
  builder.put_block(1, 1, 0x20, which % 2 == 0 ? 6 : 7);
  builder.bat[2] = 2;
  if (which % 2 != 0) {
    builder.bat[4096] = (VhdxBuilder::kData + 2 * MiB) | 6;
    builder.bytes[VhdxBuilder::kData + 2 * MiB + 256] = {std::byte{0x5a}};
  }
  if (which % 3 == 0) {
    builder.log_guid = *Uuid::parse("99999999-2222-4333-8444-555555555555");
    std::vector<std::byte> page(4096);
    store(page, 0, le64(VhdxBuilder::kData | 6));
    builder.log.push_back({.pages = {{VhdxBuilder::kBat, page}}});
  }
  return builder;
}

class Wounds {
 public:
  explicit Wounds(uint64_t seed) : random_(seed) {}

  void hit(File& file) {
    // Where the structures are, and how many bytes of them count.
    constexpr Range kPlaces[] = {{0, 64},
                                 {64 * KiB, 80},
                                 {128 * KiB, 80},
                                 {192 * KiB, 80},
                                 {256 * KiB, 80},
                                 {VhdxBuilder::kLog, 160},
                                 {VhdxBuilder::kMetadata, 224},
                                 {VhdxBuilder::kMetadata + 64 * KiB, 300},
                                 {VhdxBuilder::kBat, 40},
                                 {VhdxBuilder::kBat + 8 * 4096, 8}};
    const Range place = kPlaces[random_() % std::size(kPlaces)];
    const uint64_t at = place.offset + random_() % place.length;
    if (random_() % 2 == 0) {
      (void)file.write(at, as_bytes_of(static_cast<std::byte>(random_())));
    } else {
      (void)file.write(align_down(at, 4), as_bytes_of(le32(number())));
    }
    if (random_() % 32 == 0) (void)file.resize(random_() % file.stat()->size);
  }
  bool often() { return random_() % 8 != 0; }

 private:
  uint32_t number() {
    constexpr uint32_t kNumbers[] = {0,          1,          2,          7,         0x1000,
                                     0x100000,   0x100006,   0x300006,   0x400007,  0x500006,
                                     0x7fffffff, 0x80000000, 0xfff00006, 0xffffffff};
    return kNumbers[random_() % std::size(kNumbers)];
  }
  std::mt19937_64 random_;
};

void read_what_can_be(const Image& image) {
  for (uint64_t at = 0; at < std::min(image.size(), 8 * MiB);) {
    const Range want{at, image.size() - at};
    const auto extent = image.map(want);
    if (!extent) {
      ASSERT_EQ(extent.error().message().find('\n'), std::string::npos);
      return;
    }
    ASSERT_TRUE(extent->guest.contains(at));
    if (extent->kind == Extent::Kind::data) {
      const uint64_t size = extent->file->stat()->size;
      ASSERT_LE(extent->host, size);
      ASSERT_LE(extent->guest.length, size - extent->host);
    }
    at = extent->guest.end();
  }
}

TEST(VhdxBroken, ImagesAreReadWrittenAndRepairedOrRefused) {
  for (uint64_t round = 0; round < test::rounds(150); ++round) {
    const auto file = seed_image(round).file();
    Wounds wounds(round);
    for (uint64_t n = 1 + round % 3; n > 0; --n) wounds.hit(*file);
    for (size_t n = 0; n < 2; ++n) {
      if (wounds.often()) test::seal_vhdx_header(*file, n);
      if (wounds.often()) test::seal_vhdx_regions(*file, n);
    }
    if (const auto image = test::open_vhdx(file)) read_what_can_be(**image);
    const CheckReport found = test::vhdx_checked(file);
    const CheckReport left = test::vhdx_checked(file, Repair::all);
    ASSERT_LE(left.corruptions, found.corruptions + 1) << round;  // one more: it was refused
    Epochs epochs;
    const auto image = test::open_writable_vhdx(file, epochs);
    if (!image || !(*image)->begin_writing()) continue;
    const uint64_t size = (*image)->size();
    if (size > 16 * MiB) continue;
    test::VhdxDisk disk(file);
    (void)disk.fill({size / 2, 1}, 1);
    (void)disk.writer().discard({0, size});
    (void)disk.writer().close();
  }
}

}  // namespace
}  // namespace platter::vhdx
