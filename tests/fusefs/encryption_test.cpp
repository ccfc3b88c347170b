// Encrypted disks in a mount: the key comes in, the disk is there, and nothing secret comes out.
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/io/posix_file.h"
#include "lib/ops/create.h"
#include "tests/support/mount.h"
#include "tests/support/test_keys.h"

namespace platter::fusefs {
namespace {

using testing::HasSubstr;
using testing::Not;
using namespace platter::test;

constexpr uint64_t kSize = 3 * MiB;

class EncryptedMount : public testing::TestWithParam<std::string> {
 protected:
  EncryptedMount() {
    Options options = quick_options(*find_format(GetParam()));
    if (GetParam() == "qcow2") {
      options = {{"encrypt.format", "luks"}, {"encrypt.iter-time", "1"}};
    }
    const auto made = create_image({.path = image_,
                                    .format = *find_format(GetParam()),
                                    .size = kSize,
                                    .options = options,
                                    .keys = test_keys()});
    EXPECT_TRUE(made) << made.error().message();
  }
  std::vector<std::string> with_key(std::vector<std::string> more = {}) const {
    more.push_back("-okey-file=" + key_);
    return more;
  }
  std::string disk() const {
    const auto container = Container::open(image_, {.keys = test_keys()});
    std::string bytes(kSize, 'x');
    EXPECT_TRUE((*container)
                    ->live()
                    ->read(0, std::as_writable_bytes(std::span(bytes.data(), bytes.size()))));
    return bytes;
  }
  static void put(const Mount& mount, off_t offset, const std::string& bytes) {
    const Descriptor fd(open((mount / "disk.raw").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(fd) << strerror(errno);
    ASSERT_EQ(pwrite(fd.get(), bytes.data(), bytes.size(), offset),
              static_cast<ssize_t>(bytes.size()));
    ASSERT_EQ(fsync(fd.get()), 0);
  }

  const TempDir dir_;
  const std::string key_ = key_file_in(dir_.path());
  const std::string image_ = dir_ / "disk.image";
};

TEST_P(EncryptedMount, IsReadAndWritten) {
  std::string model(kSize, '\0');
  {
    const Mount mount(image_, with_key());
    ASSERT_TRUE(mount.mounted());
    EXPECT_TRUE(read_file(mount / "disk.raw") == model);
    ASSERT_NO_FATAL_FAILURE(put(mount, 70001, std::string(200000, 'a')));
    ASSERT_NO_FATAL_FAILURE(put(mount, 100, "b"));
    std::fill_n(model.begin() + 70001, 200000, 'a');
    model[100] = 'b';
    EXPECT_TRUE(read_file(mount / "disk.raw") == model);
    EXPECT_THAT(read_file(mount / "info.json"), HasSubstr("\"encrypted\": true"));
  }
  EXPECT_TRUE(disk() == model);
  EXPECT_THAT(read_file(image_), Not(HasSubstr("aaaaaaaaaaaaaaaa")));
}

// O_DIRECT on the file, so that no page of the kernel's puts the sectors together.
TEST_P(EncryptedMount, EightThreadsLoseNoByteOfASector) {
  constexpr unsigned kThreads = 8;
  constexpr off_t kPiece = 100, kPieces = 2000;
  {
    const Mount mount(image_, with_key());
    ASSERT_TRUE(mount.mounted());
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        const Descriptor fd(open((mount / "disk.raw").c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
        ASSERT_TRUE(fd);
        for (off_t i = t; i < kPieces; i += kThreads) {
          const std::string piece(kPiece, static_cast<char>(1 + i % 250));
          ASSERT_EQ(pwrite(fd.get(), piece.data(), kPiece, i * kPiece), kPiece);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  const std::string now = disk();
  for (off_t i = 0; i < kPieces; ++i) {
    ASSERT_EQ(now.substr(static_cast<size_t>(i * kPiece), kPiece),
              std::string(kPiece, static_cast<char>(1 + i % 250)));
  }
}

TEST_P(EncryptedMount, WithoutItsKeyIsOneLineAndNoMount) {
  write_file(dir_ / "wrong", "wrong");
  for (const auto& [options, says] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{}, "is encrypted, and its key is not given"},
           {{"-okey-file=" + (dir_ / "wrong")}, "wrong passphrase"},
           {{"-okey-file=" + (dir_ / "none")}, "cannot open the key file"}}) {
    std::vector<std::string> command = {program("platterfs"), image_, dir_.path()};
    command.insert(command.begin() + 1, options.begin(), options.end());
    command.insert(command.begin() + 1, "-ononempty");
    const Outcome outcome = run(command);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err, HasSubstr(says));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
  }
}

TEST_P(EncryptedMount, AnOverlayIsEncryptedToo) {
  const std::string before = read_file(image_), kept = dir_ / "kept.qcow2";
  {
    const Mount mount(image_, with_key({"-ooverlay=" + kept}));
    ASSERT_TRUE(mount.mounted());
    ASSERT_NO_FATAL_FAILURE(put(mount, 0, std::string(100000, 'a')));
  }
  EXPECT_TRUE(read_file(image_) == before);
  EXPECT_THAT(read_file(kept), Not(HasSubstr("aaaaaaaaaaaaaaaa")));
  {
    const Mount mount(image_, with_key({"-ooverlay=" + kept}));
    ASSERT_TRUE(mount.mounted());
    EXPECT_EQ(read_file(mount / "disk.raw").substr(0, 100001), std::string(100000, 'a') + '\0');
  }
  const Mount temporary(image_, with_key({"-ooverlay"}));
  ASSERT_TRUE(temporary.mounted());
  ASSERT_NO_FATAL_FAILURE(put(temporary, 5, "x"));
  EXPECT_EQ(read_file(temporary / "disk.raw").substr(0, 7), std::string("\0\0\0\0\0x\0", 7));
}

TEST_P(EncryptedMount, TheSecretIsInNoLogAndOnNoCommandLine) {
  const std::string log = dir_ / "log";
  const Mount mount(image_, with_key({"-olog=" + log}));
  ASSERT_TRUE(mount.mounted());
  ASSERT_NO_FATAL_FAILURE(put(mount, 0, "x"));
  const std::string process = "/proc/" + std::to_string(mount.pid());
  for (const std::string& where :
       {log, process + "/cmdline", process + "/environ", mount / "info.json"}) {
    EXPECT_THAT(read_file(where), Not(HasSubstr(std::string(kPassphrase)))) << where;
  }
  EXPECT_THAT(mount.messages(), Not(HasSubstr(std::string(kPassphrase))));
}

INSTANTIATE_TEST_SUITE_P(Formats, EncryptedMount, testing::Values("luks", "qcow2"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace platter::fusefs
