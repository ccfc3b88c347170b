#include "fusefs/live_info.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/ops/info.h"

namespace platter::fusefs {
namespace {

nlohmann::json json_of(const CacheUse& use) { return {{"hits", use.hits}, {"misses", use.misses}}; }

nlohmann::json json_of(const ReadCache* cache) {
  if (cache == nullptr) return nullptr;
  const ReadCache::Numbers n = cache->numbers();
  return {{"file", printable(n.file)}, {"hit_bytes", n.hits},        {"miss_bytes", n.misses},
          {"kept_bytes", n.kept},      {"evicted_bytes", n.evicted}, {"damaged_bytes", n.damaged},
          {"used_bytes", n.used},      {"capacity_bytes", n.size},   {"working", n.working}};
}

// Microseconds a request took, from its arrival here to its answer.
double mean_us(uint64_t nanoseconds, uint64_t requests) {
  if (requests == 0) return 0;
  return static_cast<double>(nanoseconds) / static_cast<double>(requests) / 1000;
}

}  // namespace

Result<std::string> live_info(const Served& served, const Disk& disk) {
  const Layout::Request reading(served.container.layout());
  nlohmann::json info = TRY(describe(
      {.container = served.container, .state = disk.state(), .chain = true, .partitions = true}));
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const uint64_t reads = served.counters.reads.load(kRelaxed);
  const uint64_t writes = served.write_counters.writes.load(kRelaxed);
  const Container::CachesUse caches = served.container.caches_use();
  info["live"] = {
      {"pid", getpid()},
      {"transport", "/dev/fuse"},
      {"since", served.by.since},
      {"writable", served.disk({}).writer() != nullptr},
      {"threads", served.by.threads},
      {"open_files", served.open_files.count()},
      {"requests", reads + writes},
      {"bytes", served.counters.bytes_read.load(kRelaxed)},
      {"reads", reads},
      {"writes", writes},
      {"bytes_written", served.write_counters.bytes_written.load(kRelaxed)},
      {"zeroes", served.write_counters.zeroes.load(kRelaxed)},
      {"latency_us",
       {{"read", mean_us(served.counters.read_ns.load(kRelaxed), reads)},
        {"write", mean_us(served.write_counters.write_ns.load(kRelaxed), writes)}}},
      {"cache_image", json_of(served.container.cache())},
      {"cache", {{"tables", json_of(caches.tables)}, {"blocks", json_of(caches.blocks)}}},
      {"flushes", served.write_counters.flushes.load(kRelaxed)},
      {"attribute_requests", served.write_counters.attributes.load(kRelaxed)}};
  return info.dump(2) + "\n";
}

}  // namespace platter::fusefs
