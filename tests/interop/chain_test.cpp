// Chains over several formats: what we read through them is what qemu-img reads.
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "tests/support/bytes.h"
#include "tests/support/qemu.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::have_qemu;
using test::TempDir;

struct Layer {
  std::string format;
  std::string options;  // of qemu-img create
  uint64_t size = 0;    // of its disk
};

struct Chain {
  std::string name;
  std::vector<Layer> layers;  // the base first
};

void PrintTo(const Chain& chain, std::ostream* out) { *out << chain.name; }

const std::vector<Chain>& chains() {
  constexpr uint64_t m = MiB;
  static const std::vector<Chain> list = {
      {"qcow2_over_raw", {{"raw", "", 4 * m}, {"qcow2", "", 4 * m}}},
      {"qcow2_over_vdi", {{"vdi", "", 4 * m}, {"qcow2", "", 4 * m}}},
      {"qcow2_over_static_vdi", {{"vdi", "static=on", 4 * m}, {"qcow2", "", 4 * m}}},
      {"three_cluster_sizes",
       {{"qcow2", "cluster_size=2M", 4 * m},
        {"qcow2", "cluster_size=512", 4 * m},
        {"qcow2", "cluster_size=64k", 4 * m}}},
      {"small_over_large_over_raw",
       {{"raw", "", 4 * m},
        {"qcow2", "cluster_size=1M", 4 * m},
        {"qcow2", "cluster_size=4k,compat=0.10", 4 * m}}},
      {"subclusters_over_vdi",
       {{"vdi", "", 4 * m}, {"qcow2", "extended_l2=on,cluster_size=64k", 4 * m}}},
      {"data_file_in_the_middle",
       {{"raw", "", 4 * m},
        {"qcow2", "data_file=middle.data", 4 * m},
        {"qcow2", "cluster_size=32k", 4 * m}}},
      {"shorter_backing", {{"raw", "", 1 * m + 512}, {"qcow2", "cluster_size=64k", 4 * m}}},
      {"longer_backing", {{"qcow2", "", 6 * m}, {"qcow2", "cluster_size=4k", 3 * m + 1536}}},
      {"short_layer_in_the_middle",
       {{"raw", "", 4 * m}, {"qcow2", "", 1 * m + 1024}, {"qcow2", "", 4 * m}}},
      {"long_layer_in_the_middle",
       {{"vdi", "", 2 * m}, {"qcow2", "", 6 * m}, {"qcow2", "cluster_size=128k", 4 * m}}},
  };
  return list;
}

class ChainInterop : public ::testing::TestWithParam<Chain> {
 protected:
  void run(const std::string& command) { MUST_RUN(dir_, command); }
  static std::string file_of(size_t i, const Layer& layer) {
    return fmt::format("layer{}.{}", i, layer.format);
  }

  // Data, explicit zeroes and discards at places that lie across every kind of border.
  std::string scribble(size_t i, const Layer& layer) {
    std::string command = fmt::format("qemu-io -f {}", layer.format);
    for (int n = 0; n < 12; ++n) {
      const uint64_t at = random_() % (layer.size / 512) * 512;
      const uint64_t length = std::min((1 + random_() % 200) * 512, layer.size - at);
      const char* verb = n % 4 == 3 && layer.format == "qcow2" ? "write -z" : "write";
      const std::string fill =
          n % 4 == 3 ? "" : fmt::format(" -P {}", 1 + (i * 16 + static_cast<size_t>(n)) % 255);
      command += fmt::format(" -c '{}{} {} {}'", verb, fill, at, length);
    }
    return command + " " + file_of(i, layer);
  }

  void make(const Chain& chain) {
    for (size_t i = 0; i < chain.layers.size(); ++i) {
      const Layer& layer = chain.layers[i];
      std::string command = fmt::format("qemu-img create -q -f {}", layer.format);
      if (!layer.options.empty()) command += " -o " + layer.options;
      if (i > 0) {
        const Layer& below = chain.layers[i - 1];
        command += fmt::format(" -b {} -F {}", file_of(i - 1, below), below.format);
      }
      run(fmt::format("{} {} {}", command, file_of(i, layer), layer.size));
      run(scribble(i, layer));
    }
  }

  TempDir dir_;
  std::mt19937_64 random_{12};
};

TEST_P(ChainInterop, ReadsWhatQemuReads) {
  if (!have_qemu()) GTEST_SKIP() << "qemu-img and qemu-io are not installed";
  const Chain& chain = GetParam();
  for (const Layer& layer : chain.layers) {
    ASSERT_NE(find_format(layer.format), nullptr) << layer.format;
  }
  make(chain);
  if (HasFatalFailure()) return;
  const std::string top = file_of(chain.layers.size() - 1, chain.layers.back());
  run(fmt::format("qemu-img convert -O raw {} expected.raw", top));
  const std::string expected = test::read_file(dir_ / "expected.raw");
  const auto container = Container::open(dir_ / top);
  ASSERT_TRUE(container) << container.error().message();
  EXPECT_EQ((*container)->chain().size(), chain.layers.size());
  const View& view = *(*container)->live();
  ASSERT_EQ(view.size(), expected.size());
  std::string all(expected.size(), 'x');
  const auto read = view.read(0, std::as_writable_bytes(std::span(all)));
  ASSERT_TRUE(read) << read.error().message();
  const auto differ = std::mismatch(all.begin(), all.end(), expected.begin());
  ASSERT_TRUE(all == expected) << "first difference at " << differ.first - all.begin();
  for (int i = 0; i < 100; ++i) {
    const uint64_t at = random_() % expected.size();
    const size_t length = std::min<uint64_t>(1 + random_() % 100000, expected.size() - at);
    std::string part(length, 'x');
    ASSERT_TRUE(view.read(at, std::as_writable_bytes(std::span(part))));
    ASSERT_TRUE(part == expected.substr(at, length)) << "at " << at << ", " << length;
  }
}

INSTANTIATE_TEST_SUITE_P(Chains, ChainInterop, ::testing::ValuesIn(chains()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace platter
