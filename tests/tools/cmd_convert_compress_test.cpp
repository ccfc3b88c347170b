// platter convert -c: what the command takes, says and leaves.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/lib/ops/each_format.h"
#include "tests/support/bytes.h"
#include "tests/support/mount.h"
#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::Creatable;
using test::Said;
using test::TempDir;
using testing::HasSubstr;

class ConvertCompressCommand : public testing::Test {
 protected:
  // 4 MiB of text, 2 of noise, a hole.
  void SetUp() override {
    std::string text;
    for (int line = 0; text.size() < 4 * MiB; ++line) {
      text += "line " + std::to_string(line * 7919 % 10007) + " of a text that repeats itself\n";
    }
    text.resize(4 * MiB);
    text += test::text_of(test::noise(2 * MiB, 5));
    test::write_file(source_, text);
    ASSERT_EQ(truncate(source_.c_str(), 10 * MiB), 0);
  }
  Said convert(const std::vector<std::string>& options) {
    std::filesystem::remove(target_);
    std::vector<std::string> line = {"convert"};
    line.insert(line.end(), options.begin(), options.end());
    line.insert(line.end(), {source_, target_});
    return cli(line);
  }
  const TempDir dir_;
  const std::string source_ = dir_ / "source.img";
  const std::string target_ = dir_ / "target.qcow2";
};

TEST_F(ConvertCompressCommand, MakesASmallerCopyThatIsSoundAndComparesTheSame) {
  for (const auto& options :
       std::vector<std::vector<std::string>>{{"-c"},
                                             {"--compress"},
                                             {"-c", "--fast"},
                                             {"-c", "-m", "1"},
                                             {"-c", "-o", "window=4k"},
                                             {"-c", "--fast", "-o", "window=4k"},
                                             {"-c", "-o", "compression_type=zstd"},
                                             {"-c", "--fast", "-o", "compression_type=zstd"},
                                             {"-c", "-o", "compat=0.10"},
                                             {"-c", "-o", "cluster_size=512"},
                                             {"-c", "-o", "cluster_size=2M"},
                                             {"-c", "-o", "extended_l2=on"},
                                             {"-c", "-o", "refcount_bits=1"}}) {
    const Said made = convert(options);
    ASSERT_EQ(made.status, 0) << made.err;
    EXPECT_EQ(made.err, "");
    EXPECT_EQ(cli({"compare", source_, target_}).status, 0) << options.back();
    EXPECT_EQ(cli({"check", target_}).status, 0) << options.back();
    // With refcounts of one bit streams share no cluster; the rest has its 2 MiB of noise at least.
    if (options.back() == "refcount_bits=1") continue;
    struct stat st = {};
    ASSERT_EQ(stat(target_.c_str(), &st), 0);
    EXPECT_LT(st.st_blocks * 512, off_t{5 * MiB}) << options.back();
  }
}

TEST_F(ConvertCompressCommand, SaysHowMuchIsCompressed) {
  const auto report = convert({"-c", "--json"}).json();
  EXPECT_EQ(report.at("copied"), 6 * MiB);
  EXPECT_EQ(report.at("compressed"), 4 * MiB);
  EXPECT_FALSE(convert({"--json"}).json().contains("compressed"));
}

TEST_F(ConvertCompressCommand, MapsAsCompressed) {
  ASSERT_EQ(convert({"-c"}).status, 0);
  const Said map = cli({"map", target_});
  EXPECT_THAT(map.out, HasSubstr("compressed"));
}

TEST_F(ConvertCompressCommand, RefusesWhatDoesNotGoTogether) {
  struct Case {
    std::vector<std::string> options;
    std::string said;
    int status;
  };
  for (const Case& c : std::vector<Case>{
           {{"--fast"}, "--fast goes with -c only", 2},
           {{"-c", "-O", "raw"}, "raw: images of this format cannot be made compressed", 1},
           {{"-c", "-O", "vdi"}, "vdi: images of this format cannot be made compressed", 1},
           {{"-c", "-o", "preallocation=full"}, "not together with compressed clusters", 1},
           {{"-c", "-o", "data_file=" + (dir_ / "d")}, "it cannot be compressed", 1},
           {{"-o", "window=4k"}, "window=4k: only streams of zlib", 1},
           {{"-c", "-o", "window=8k"}, "must be 32k or 4k", 1}}) {
    const Said made = convert(c.options);
    EXPECT_EQ(made.status, c.status) << c.said;
    EXPECT_THAT(made.err, HasSubstr(c.said));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_.path()), {}), 1) << c.said;
  }
}

TEST_F(ConvertCompressCommand, OverAParentComparesTheSame) {
  const std::string parent = dir_ / "parent.qcow2";
  ASSERT_EQ(cli({"convert", "-c", "-o", "compression_type=zstd", source_, parent}).status, 0);
  std::string disk = test::read_file(source_);
  disk.replace(MiB, MiB, test::text_of(test::noise(MiB / 2, 9)) + std::string(MiB / 2, 'x'));
  disk.replace(3 * MiB, MiB, std::string(MiB, '\0'));
  test::write_file(source_, disk);
  const Said made = convert({"-c", "--parent", parent, "--json"});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(made.json().at("compressed"), MiB / 2);
  EXPECT_EQ(cli({"compare", source_, target_}).status, 0);
  EXPECT_EQ(cli({"check", target_}).status, 0);
}

TEST_F(ConvertCompressCommand, LeavesNothingWhenTheHostIsFull) {
  const std::string small = dir_ / "small";
  std::filesystem::create_directory(small);
  if (mount("none", small.c_str(), "tmpfs", 0, "size=2m") != 0) {
    GTEST_SKIP() << "mounting a small filesystem takes root";
  }
  for (const std::string options : {"window=32k", "compression_type=zstd", "cluster_size=512"}) {
    const Said made = cli({"convert", "-c", "-o", options, source_, small + "/target.qcow2"});
    EXPECT_EQ(made.status, 1);
    EXPECT_TRUE(made.err.ends_with("No space left on device\n")) << made.err;
    EXPECT_TRUE(std::filesystem::is_empty(small)) << options;
  }
  umount2(small.c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace platter
