// qcow2 images that Platter and QEMU write in turns: after each turn both must read what a model
// says, and qemu-img check must find nothing, not even a leak.
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "tests/interop/turns.h"
#include "tests/support/qemu.h"
#include "tests/support/rounds.h"

namespace platter::test {
namespace {

struct Variant {
  std::string name;
  std::string options;   // of qemu-img create
  uint64_t size = 0;     // of the disk
  bool backing = false;  // over a raw file, shorter than the disk
  bool snapshot = true;  // an internal one is made half way
  bool compressed = true;
  uint64_t cluster = 64 * KiB;
};

class Qcow2WrittenInTurns : public testing::TestWithParam<Variant> {
 protected:
  void SetUp() override { REQUIRE_QEMU(); }
  void make_image();
  void our_turn();
  void qemus_turn();
  void run_qemu(std::string& script);
  void take_snapshot();
  void expect_agreement();

  TempDir dir_;
  std::mt19937_64 random_;
  std::string model_;
  std::string at_snapshot_;
};

void Qcow2WrittenInTurns::make_image() {
  const Variant& v = GetParam();
  at_snapshot_.clear();
  model_.assign(v.size, '\0');
  std::string backing;
  if (v.backing) {
    write_file(dir_ / "base.raw", make_parent(model_));
    backing = "-b base.raw -F raw";
  }
  MUST_RUN(dir_, fmt::format("rm -f x.qcow2 x.data; qemu-img create -q -f qcow2 {} {} x.qcow2 {}",
                             v.options.empty() ? "" : "-o " + v.options, backing, v.size));
}

void Qcow2WrittenInTurns::our_turn() {
  auto container = Container::open(dir_ / "x.qcow2", {.access = Access::write});
  ASSERT_TRUE(container) << container.error().message();
  Writer& writer = *(*container)->writer();
  for (int i = 0; i < 30; ++i) {
    const Result<void> done = change_at_random(writer, random_, model_);
    ASSERT_TRUE(done) << done.error().message();
  }
  std::string seen(model_.size(), 'x');
  ASSERT_TRUE((*container)->live()->read(0, std::as_writable_bytes(std::span(seen))));
  ASSERT_TRUE(seen == model_);
  const Result<void> closed = writer.close();
  ASSERT_TRUE(closed) << closed.error().message();
}

void Qcow2WrittenInTurns::qemus_turn() {
  std::string script;
  for (int i = 0; i < 12; ++i) {
    Range range = draw_sectors(random_, model_.size());
    const unsigned what = static_cast<unsigned>(random_() % 6);
    const auto value = static_cast<unsigned char>(1 + random_() % 255);
    std::string command = fmt::format("write -P {} {} {}", value, range.offset, range.length);
    if (what == 0) command = fmt::format("write -z {} {}", range.offset, range.length);
    if (what == 1) command = fmt::format("write -z -u {} {}", range.offset, range.length);
    if (what == 2 && GetParam().compressed) {
      // Whole clusters; QEMU puts compressed ones only where nothing is.
      range = align_out(range, GetParam().cluster);
      range.length = std::min(range.length, model_.size() - range.offset);
      command = fmt::format("write -z -u {0} {1}' -c 'write -c -P {2} {0} {1}", range.offset,
                            range.length, value);
    }
    const bool zero = what < 2;
    std::fill_n(model_.begin() + static_cast<long>(range.offset), range.length,
                zero ? '\0' : static_cast<char>(value));
    const bool alone = what == 2 && GetParam().compressed;
    if (alone) run_qemu(script);
    script += fmt::format(" -c '{}'", command);
    if (alone) run_qemu(script);
  }
  run_qemu(script);
}

// A program of its own for each compressed cluster: QEMU 7.2 goes on in the host cluster where it
// put the last one, even when that was freed and holds something else by then.
void Qcow2WrittenInTurns::run_qemu(std::string& script) {
  if (!script.empty()) {
    MUST_RUN(dir_, "qemu-io -f qcow2" + script + " x.qcow2");
  }
  script.clear();
}

void Qcow2WrittenInTurns::take_snapshot() {
  if (!GetParam().snapshot) return;
  at_snapshot_ = model_;
  MUST_RUN(dir_, "qemu-img snapshot -c s x.qcow2");
}

void Qcow2WrittenInTurns::expect_agreement() {
  MUST_RUN(dir_, "qemu-img check -q -f qcow2 x.qcow2");
  MUST_RUN(dir_, "qemu-img convert -f qcow2 -O raw x.qcow2 x.raw");
  ASSERT_TRUE(read_file(dir_ / "x.raw") == model_);
  if (at_snapshot_.empty()) return;
  MUST_RUN(dir_, "qemu-img convert -l s -f qcow2 -O raw x.qcow2 s.raw");
  ASSERT_TRUE(read_file(dir_ / "s.raw") == at_snapshot_);
}

TEST_P(Qcow2WrittenInTurns, StaysSoundAndReadsTheSameForBoth) {
  for (uint64_t seed = 0; seed < rounds(1, 200); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    random_.seed(seed);
    make_image();
    for (const bool ours : {true, false, true, true, false}) {
      if (ours) {
        our_turn();
      } else {
        qemus_turn();
        if (!HasFatalFailure() && at_snapshot_.empty()) take_snapshot();
      }
      if (HasFatalFailure()) return;
      expect_agreement();
      if (HasFatalFailure()) return;
    }
  }
}

std::vector<Variant> variants() {
  return {
      {.name = "Default", .size = 3 * MiB + 512},
      {.name = "Version2", .options = "compat=0.10", .size = 3 * MiB + 512},
      {.name = "Version2OverABase",
       .options = "compat=0.10",
       .size = 3 * MiB,
       .backing = true,
       .compressed = false},
      {.name = "SmallestClusters", .options = "cluster_size=512", .size = MiB + 512},
      {.name = "LargestClusters",
       .options = "cluster_size=2M",
       .size = 9 * MiB,
       .cluster = 2 * MiB},
      {.name = "RefcountsOf1Bit",
       .options = "cluster_size=1k,refcount_bits=1",
       .size = 2 * MiB,
       .snapshot = false},
      {.name = "RefcountsOf2Bits",
       .options = "cluster_size=4k,refcount_bits=2",
       .size = 2 * MiB,
       .compressed = false},
      {.name = "RefcountsOf64Bits",
       .options = "cluster_size=512,refcount_bits=64",
       .size = 3 * MiB},
      {.name = "OverABase", .options = "cluster_size=4k", .size = 3 * MiB, .backing = true},
      {.name = "ExtendedL2", .options = "extended_l2=on", .size = 3 * MiB + 512},
      {.name = "ExtendedL2OverABase",
       .options = "extended_l2=on,cluster_size=16k",
       .size = 3 * MiB,
       .backing = true},
      {.name = "Zstd", .options = "compression_type=zstd", .size = 3 * MiB},
      {.name = "LazyRefcounts", .options = "lazy_refcounts=on", .size = 3 * MiB},
      {.name = "DataFile",
       .options = "data_file=x.data",
       .size = 3 * MiB,
       .snapshot = false,
       .compressed = false},
      {.name = "RawDataFile",
       .options = "data_file=x.data,data_file_raw=on",
       .size = 3 * MiB,
       .snapshot = false,
       .compressed = false},
      {.name = "MetadataPreallocated", .options = "preallocation=metadata", .size = 3 * MiB},
  };
}

INSTANTIATE_TEST_SUITE_P(Variants, Qcow2WrittenInTurns, testing::ValuesIn(variants()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter::test
