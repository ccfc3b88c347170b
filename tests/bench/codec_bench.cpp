// What making and decoding a compressed unit costs: our codecs, and zlib itself as the measure. The
// data is this program, in units of 64 KiB.
#include <benchmark/benchmark.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "lib/image/deflate.h"
#include "lib/image/inflate.h"
#include "lib/image/zstd_codec.h"

namespace platter {
namespace {

constexpr size_t kUnit = 64 * KiB;
using Buffer = std::vector<std::byte>;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "lookup_bench: %s\n", what);
  std::exit(1);
}

std::vector<Buffer> units_of_this_program() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  std::vector<Buffer> units;
  Buffer unit(kUnit);
  while (file.read(reinterpret_cast<char*>(unit.data()), kUnit)) units.push_back(unit);
  if (units.empty()) fail("this program is smaller than a unit");
  return units;
}

// Raw deflate with the window and level qemu-img has.
Buffer deflated(const Buffer& unit) {
  constexpr int kWindowBits = 12;
  constexpr int kMemoryLevel = 9;
  z_stream stream = {};
  Buffer out(2 * kUnit);
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -kWindowBits, kMemoryLevel,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    fail("zlib does not start");
  }
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(unit.data()));
  stream.avail_in = static_cast<uInt>(unit.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) fail("zlib does not deflate");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Buffer zstd_compressed(const Buffer& unit) {
  Buffer out(ZSTD_compressBound(unit.size()));
  const size_t size = ZSTD_compress(out.data(), out.size(), unit.data(), unit.size(), 3);
  if (ZSTD_isError(size) != 0) fail("zstd does not compress");
  out.resize(size);
  return out;
}

template <class Decode>
void decode_units(benchmark::State& state, Buffer (*encode)(const Buffer&), Decode&& decode) {
  std::vector<Buffer> stored;
  for (const Buffer& unit : units_of_this_program()) stored.push_back(encode(unit));
  Buffer out(kUnit);
  size_t i = 0;
  for (auto _ : state) {
    if (!decode(stored[i++ % stored.size()], out)) fail("a unit does not decode");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kUnit));
}

bool zlib_inflate(const Buffer& stored, Buffer& out) {
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(stored.data()));
  stream.avail_in = static_cast<uInt>(stored.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const bool whole = inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_out == 0;
  inflateEnd(&stream);
  return whole;
}

void inflate_ours(benchmark::State& state) {
  decode_units(state, deflated, [](const Buffer& stored, Buffer& out) {
    return deflate_codec().decode(stored, out).has_value();
  });
}
BENCHMARK(inflate_ours)->Name("inflate/deflate_codec")->ThreadRange(1, 2)->UseRealTime();

void inflate_zlib(benchmark::State& state) { decode_units(state, deflated, zlib_inflate); }
BENCHMARK(inflate_zlib)->Name("inflate/zlib");

void zstd_ours(benchmark::State& state) {
  decode_units(state, zstd_compressed, [](const Buffer& stored, Buffer& out) {
    return zstd_codec().decode(stored, out).has_value();
  });
}
BENCHMARK(zstd_ours)->Name("zstd/zstd_codec");

void encode_units(benchmark::State& state, const Encoder& encoder) {
  const std::vector<Buffer> units = units_of_this_program();
  Buffer stored(kUnit);
  size_t i = 0, made = 0;
  for (auto _ : state) {
    const auto length = encoder.encode(units[i++ % units.size()], stored);
    if (!length) fail("a unit does not encode");
    made += *length;
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kUnit));
  state.counters["stored"] = static_cast<double>(made) / static_cast<double>(i * kUnit);
}
BENCHMARK_CAPTURE(encode_units, deflate, deflate_encoder(Effort::usual));
BENCHMARK_CAPTURE(encode_units, deflate_fast, deflate_encoder(Effort::fast));
BENCHMARK_CAPTURE(encode_units, deflate_4k, deflate_4k_encoder(Effort::usual));
BENCHMARK_CAPTURE(encode_units, zstd, zstd_encoder(Effort::usual));
BENCHMARK_CAPTURE(encode_units, zstd_fast, zstd_encoder(Effort::fast));

void deflate_zlib(benchmark::State& state) {
  const std::vector<Buffer> units = units_of_this_program();
  size_t i = 0, made = 0;
  for (auto _ : state) made += deflated(units[i++ % units.size()]).size();
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kUnit));
  state.counters["stored"] = static_cast<double>(made) / static_cast<double>(i * kUnit);
}
BENCHMARK(deflate_zlib)->Name("encode_units/zlib");

}  // namespace
}  // namespace platter
