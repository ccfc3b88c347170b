// Requests in flight against threads that wait: 4 KiB random reads of a qcow2, out of the host's
// memory and from its disk. The image is made in PLATTER_BENCH_DIR (else in /var/tmp).
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include <fmt/format.h>

#include <platter/requests.h>

namespace platter {
namespace {

constexpr uint64_t kDisk = uint64_t{1} << 30;
constexpr size_t kRead = 4096;
constexpr int kReads = 100'000;    // out of memory, a round
constexpr int kColdReads = 4'000;  // from the disk, a round

void must(const Result<void>& result) {
  if (result) return;
  fmt::print(stderr, "requests_bench: {}\n", result.error().message());
  std::exit(1);
}

// One disk for all, full of data.
struct Subject {
  Subject() {
    const char* const given = std::getenv("PLATTER_BENCH_DIR");
    path =
        fmt::format("{}/requests_bench.{}.qcow2", given != nullptr ? given : "/var/tmp", getpid());
    must(disk.create_base({.path = path, .format = "qcow2", .size = kDisk}));
    std::vector<std::byte> data(1 << 20);
    std::mt19937_64 random(1);
    for (uint64_t at = 0; at < kDisk; at += data.size()) {
      for (std::byte& b : data) b = static_cast<std::byte>(random());
      must(disk.write(at, data));
    }
    must(disk.flush());
  }
  ~Subject() { std::filesystem::remove(path); }
  void forget() const {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    (void)fdatasync(fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    close(fd);
  }

  std::string path;
  VirtualDisk disk;
};
const Subject& subject() {
  static const Subject one;
  return one;
}

uint64_t place(std::mt19937_64& random) { return random() % (kDisk / kRead) * kRead; }

// range(0): threads, range(1): reads in all, range(2): from the disk.
void blocking_threads(benchmark::State& state) {
  const auto threads = static_cast<unsigned>(state.range(0));
  for (auto _ : state) {
    state.PauseTiming();
    if (state.range(2) != 0) subject().forget();
    state.ResumeTiming();
    std::vector<std::thread> readers;
    for (unsigned t = 0; t < threads; ++t) {
      readers.emplace_back([&, t] {
        std::mt19937_64 random(t + static_cast<size_t>(state.iterations()));
        std::vector<std::byte> out(kRead);
        for (int64_t i = 0; i < state.range(1) / threads; ++i) {
          must(subject().disk.read(place(random), out));
        }
      });
    }
    for (std::thread& reader : readers) reader.join();
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
}

// range(0): in flight; each that is done asks for the next.
void requests_in_flight(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    if (state.range(2) != 0) subject().forget();
    state.ResumeTiming();
    std::atomic<int64_t> left = state.range(1);
    struct Slot {
      std::mt19937_64 random;
      std::vector<std::byte> out;
    };
    std::vector<Slot> slots(static_cast<size_t>(state.range(0)));
    Requests requests(const_cast<VirtualDisk&>(subject().disk),
                      static_cast<unsigned>(state.range(3)));
    std::function<void(Slot&)> ask = [&](Slot& slot) {
      if (left.fetch_sub(1, std::memory_order_relaxed) <= 0) return;
      requests.read(place(slot.random), slot.out, [&ask, &slot](const Result<void>& done) {
        must(done);
        ask(slot);
      });
    };
    for (size_t i = 0; i < slots.size(); ++i) {
      slots[i] = {std::mt19937_64(i + static_cast<size_t>(state.iterations())),
                  std::vector<std::byte>(kRead)};
      ask(slots[i]);
    }
    requests.wait();
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
}

BENCHMARK(blocking_threads)->Args({4, kReads, 0})->Args({4, kColdReads, 1})->UseRealTime();
BENCHMARK(requests_in_flight)
    ->Args({32, kReads, 0, 0})
    ->Args({32, kColdReads, 1, 0})
    ->UseRealTime();

}  // namespace
}  // namespace platter

BENCHMARK_MAIN();
