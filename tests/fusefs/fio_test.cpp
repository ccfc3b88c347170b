// fio writes blocks of all sizes and reads back what it wrote, each block with its checksum.
#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "lib/io/posix_file.h"
#include "tests/support/created_image.h"
#include "tests/support/mount.h"
#include "tests/support/rounds.h"

namespace platter::fusefs {
namespace {

using namespace platter::test;
using namespace std::chrono_literals;

constexpr uint64_t kSize = 24 * MiB;

struct Way {
  const char* name;
  std::vector<std::string> options;
  unsigned most_jobs;
};
void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

const Way kBuffered = {"buffered", {"--ioengine=psync", "--direct=0", "--fsync=1000"}, 3};
const Way kDirect = {"direct", {"--ioengine=psync", "--direct=1", "--fsync=1000"}, 3};
// fio maps the start of the file, whatever the offset of the job.
const Way kMapped = {"mapped", {"--ioengine=mmap"}, 1};

// Jobs side by side, each with a part of the disk; every byte of it is written once.
Outcome fio(const Mount& mount, const TempDir& scratch, uint64_t seed, const Way& way,
            unsigned jobs, const std::vector<std::string>& more) {
  const std::string each = std::to_string(kSize / jobs);
  std::vector<std::string> command = {"fio",
                                      "--name=verify",
                                      "--filename=" + mount / "disk.raw",
                                      "--numjobs=" + std::to_string(jobs),
                                      "--size=" + each,
                                      "--offset_increment=" + each,
                                      "--rw=randwrite",
                                      "--bssplit=512/30:1k/5:3k/5:4k/30:64k/20:1M/10",
                                      "--verify=crc32c",
                                      "--verify_fatal=1",
                                      "--randseed=" + std::to_string(seed + 1),
                                      "--output-format=terse",
                                      "--aux-path=" + scratch.path()};
  command.insert(command.end(), way.options.begin(), way.options.end());
  command.insert(command.end(), more.begin(), more.end());
  return run(command, 100s);
}
class Fio : public testing::TestWithParam<std::tuple<HowMade, Way>> {
 protected:
  void SetUp() override {
    if (run({"fio", "--version"}).status != 0) GTEST_SKIP() << "there is no fio";
  }
  void write(uint64_t seed, unsigned jobs) const {
    const Mount mount(image_.path(), image_.options(), 120s);
    ASSERT_TRUE(mount.mounted());
    const Outcome written = fio(mount, dir_, seed, std::get<1>(GetParam()), jobs,
                                {"--do_verify=1", "--verify_backlog=300"});
    ASSERT_EQ(written.status, 0) << written.out << written.err;
  }
  void expect_verified(uint64_t seed, unsigned jobs) const {
    const Mount mount(image_.path(), image_.options(), 120s);
    ASSERT_TRUE(mount.mounted());
    for (const Way& way : {kBuffered, kDirect, kMapped}) {
      if (jobs > way.most_jobs) continue;
      const Outcome read = fio(mount, dir_, seed, way, jobs, {"--verify_only"});
      EXPECT_EQ(read.status, 0) << way.name << ": " << read.out << read.err;
    }
  }

  TempDir dir_;
  const CreatedImage image_{std::get<0>(GetParam()), dir_.path(), kSize};
};

INSTANTIATE_TEST_SUITE_P(Images, Fio,
                         testing::Combine(testing::ValuesIn(ways_to_make()),
                                          testing::Values(kBuffered, kDirect, kMapped)),
                         [](const auto& param) {
                           return std::get<0>(param.param).name + "_" +
                                  std::get<1>(param.param).name;
                         });

TEST_P(Fio, FindsAgainWhatItWroteAlsoAfterARemount) {
  const std::string parent = image_.parent().empty() ? "" : read_file(image_.parent());
  for (uint64_t seed = 0; seed < rounds(2) && !HasFailure(); ++seed) {
    const unsigned jobs = seed % 2 == 0 ? 1 : std::get<1>(GetParam()).most_jobs;
    write(seed, jobs);
    EXPECT_EQ(image_.fault(), "");
    expect_verified(seed, jobs);
  }
  EXPECT_TRUE(parent.empty() || read_file(image_.parent()) == parent);
}

TEST(FioItself, FindsOneWrongByte) {
  if (run({"fio", "--version"}).status != 0) GTEST_SKIP() << "there is no fio";
  const TempDir dir;
  const CreatedImage image(ways_to_make().front(), dir.path(), kSize);
  const Mount mount(image.path(), image.options(), 120s);
  ASSERT_TRUE(mount.mounted());
  ASSERT_EQ(fio(mount, dir, 0, kBuffered, 1, {"--do_verify=0"}).status, 0);
  const Descriptor fd(open((mount / "disk.raw").c_str(), O_RDWR | O_CLOEXEC));
  char byte = 0;
  ASSERT_EQ(pread(fd.get(), &byte, 1, kSize / 2 + 100), 1);
  byte = static_cast<char>(byte ^ 1);
  ASSERT_EQ(pwrite(fd.get(), &byte, 1, kSize / 2 + 100), 1);
  for (const Way& way : {kBuffered, kDirect, kMapped}) {
    EXPECT_NE(fio(mount, dir, 0, way, 1, {"--verify_only"}).status, 0) << way.name;
  }
}

}  // namespace
}  // namespace platter::fusefs
