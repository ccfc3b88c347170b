#include "fusefs/live_info.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "lib/ops/info.h"

namespace platter::fusefs {

Result<std::string> live_info(const Served& served, const Disk& disk) {
  const Layout::Request reading(served.container.layout());
  nlohmann::json info = TRY(describe(
      {.container = served.container, .state = disk.state(), .chain = true, .partitions = true}));
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const uint64_t reads = served.counters.reads.load(kRelaxed);
  const uint64_t writes = served.write_counters.writes.load(kRelaxed);
  info["live"] = {{"pid", getpid()},
                  {"transport", "/dev/fuse"},
                  {"since", served.since},
                  {"writable", served.disk({}).writer() != nullptr},
                  {"threads", served.threads},
                  {"open_files", served.open_files.count()},
                  {"requests", reads + writes},
                  {"bytes", served.counters.bytes_read.load(kRelaxed)},
                  {"reads", reads},
                  {"writes", writes},
                  {"bytes_written", served.write_counters.bytes_written.load(kRelaxed)},
                  {"zeroes", served.write_counters.zeroes.load(kRelaxed)},
                  {"flushes", served.write_counters.flushes.load(kRelaxed)},
                  {"attribute_requests", served.write_counters.attributes.load(kRelaxed)}};
  return info.dump(2) + "\n";
}

}  // namespace platter::fusefs
