// A directory for images, and chains of them made there.
#pragma once

#include <platter/virtual_disk.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/range.h"
#include "tests/support/bytes.h"
#include "tests/support/temp_dir.h"

namespace platter::test {

inline constexpr uint64_t kChainDisk = 4 * MiB;

inline std::vector<std::byte> bytes_of(const VirtualDisk& disk) {
  std::vector<std::byte> out(disk.size());
  const Result<void> done = disk.read(0, out);
  EXPECT_TRUE(done) << done.error().message();
  return out;
}

inline void expect_failure(const Result<void>& done, Errc code, const std::string& says) {
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), code);
  EXPECT_THAT(done.error().message(), testing::HasSubstr(says));
}
#define EXPECT_DONE(...)                           \
  do {                                             \
    const Result<void> done_ = (__VA_ARGS__);      \
    EXPECT_TRUE(done_) << done_.error().message(); \
  } while (false)

class VirtualDiskTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return dir_ / name; }
  // A base in one format, and children of others over it, each with bytes of its own.
  std::vector<OpenImage> make_chain(const std::vector<std::string>& formats) {
    VirtualDisk disk;
    std::vector<OpenImage> images;
    for (const std::string& format : formats) {
      const NewImageOf image{.path = path(std::to_string(images.size()) + "." + format),
                             .format = format,
                             .size = kChainDisk};
      if (images.empty()) {
        EXPECT_DONE(disk.create_base(image));
      } else {
        EXPECT_DONE(disk.create_child(image));
      }
      const uint64_t at = 700 * KiB * images.size() + 12345;
      EXPECT_DONE(disk.write(at, pattern(at, 512 * KiB, images.size())));
      images.push_back({.path = image.path, .format = format});
    }
    bytes_ = bytes_of(disk);
    EXPECT_DONE(disk.close_all());
    return images;
  }

  TempDir dir_;
  std::vector<std::byte> bytes_;
};

}  // namespace platter::test
