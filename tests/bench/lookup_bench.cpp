// Where is this byte? The cost of table look-ups and of stacking layers, apart from any kernel or
// mount.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "lib/container/view.h"
#include "lib/image/registry.h"
#include "lib/io/memory_file.h"

namespace platter {
namespace {

constexpr uint64_t kDiskSize = 64 * GiB;
constexpr uint64_t kDataEvery = 64 * MiB;  // one allocated block in each
constexpr uint64_t kTableCache = 64 * MiB;
constexpr size_t kOffsets = 1 << 16;

// A benchmark of something that does not work measures nothing.
template <class T>
T must(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "lookup_bench: {}\n", result.error().message());
    std::exit(1);
  }
  return *std::move(result);
}
void must(Result<void> result) {
  if (!result) {
    fmt::print(stderr, "lookup_bench: {}\n", result.error().message());
    std::exit(1);
  }
}

std::vector<uint64_t> random_offsets(uint64_t end) {
  std::mt19937_64 dice(1);
  std::vector<uint64_t> offsets(kOffsets);
  for (uint64_t& offset : offsets) offset = align_down(dice() % end, 4 * KiB);
  return offsets;
}

// An image with one block of data in each kDataEvery, in memory.
ImagePtr sparse_image(const Format& format, bool with_data) {
  const auto file = std::make_shared<MemoryFile>();
  const Options defaults;
  const ImageWriterPtr writer = must(format.create({file, kDiskSize, defaults}));
  const std::vector<std::byte> block(writer->block_size(), std::byte{1});
  for (uint64_t at = 0; with_data && at < kDiskSize; at += kDataEvery) {
    must(writer->write(at, block));
  }
  must(writer->finish());
  const auto resolver = deny_resolver("a benchmark has one file");
  return must(format.open(OpenRequest{
      .file = file, .resolver = *resolver, .tables = std::make_shared<PageCache>(kTableCache)}));
}

// Random pages of a table of 8 MiB. range(0): bytes the cache keeps.
void page_cache(benchmark::State& state) {
  constexpr uint64_t kTable = 8 * MiB;
  static const std::vector<std::byte> contents(kTable, std::byte{1});
  static const MemoryFile file("table", contents);
  static std::shared_ptr<PageCache> cache;
  if (state.thread_index() == 0) {
    cache = std::make_shared<PageCache>(static_cast<uint64_t>(state.range(0)));
    for (uint64_t at = 0; at < kTable; at += PageCache::kPageSize) must(cache->page(file, at));
  }
  const std::vector<uint64_t> offsets = random_offsets(kTable);
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(cache->read<be64>(file, offsets[i++ % kOffsets]));
  }
}

// Random guest offsets over the whole disk, almost all of them unallocated; the tables are cached.
void map_anywhere(benchmark::State& state, const Format& format) {
  const ImagePtr image = sparse_image(format, true);
  const std::vector<uint64_t> offsets = random_offsets(kDiskSize - MiB);
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(image->map({offsets[i++ % kOffsets], 4 * KiB}));
  }
}

// Random guest offsets that are allocated.
void map_data(benchmark::State& state, const Format& format) {
  const ImagePtr image = sparse_image(format, true);
  std::vector<uint64_t> offsets = random_offsets(kDiskSize);
  for (uint64_t& offset : offsets) offset -= offset % kDataEvery;
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(image->map({offsets[i++ % kOffsets], 4 * KiB}));
  }
}

// A read that only the lowest of range(0) layers has.
void view_map(benchmark::State& state, const Format& format) {
  const auto depth = static_cast<size_t>(state.range(0));
  std::vector<ImagePtr> images;
  for (size_t i = 0; i < depth; ++i) images.push_back(sparse_image(format, i + 1 == depth));
  std::vector<View::Layer> layers;
  for (const ImagePtr& image : images) layers.push_back({image.get(), 0});
  BlockCache blocks(MiB);
  const View view(layers, blocks);
  std::vector<uint64_t> offsets = random_offsets(kDiskSize);
  for (uint64_t& offset : offsets) offset -= offset % kDataEvery;
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(view.map({offsets[i++ % kOffsets], 4 * KiB}));
  }
}

void register_look_ups() {
  benchmark::RegisterBenchmark("page_cache/hit", page_cache)->Arg(32 * MiB)->ThreadRange(1, 4);
  benchmark::RegisterBenchmark("page_cache/half_misses", page_cache)->Arg(4 * MiB);
  for (const char* name : {"raw", "qcow2", "vdi"}) {
    const Format* format = find_format(name);
    if (format == nullptr || !format->can_create()) continue;
    const std::string prefix = name;
    benchmark::RegisterBenchmark((prefix + "/map/anywhere").c_str(),
                                 [=](benchmark::State& state) { map_anywhere(state, *format); });
    benchmark::RegisterBenchmark((prefix + "/map/data").c_str(),
                                 [=](benchmark::State& state) { map_data(state, *format); });
    if (prefix == "raw") continue;  // a raw file has no layer below
    benchmark::RegisterBenchmark((prefix + "/view_map").c_str(),
                                 [=](benchmark::State& state) { view_map(state, *format); })
        ->ArgName("layers")
        ->Arg(1)
        ->Arg(10)
        ->Arg(100);
  }
}

}  // namespace
}  // namespace platter

int main(int argc, char** argv) {
  platter::register_look_ups();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
