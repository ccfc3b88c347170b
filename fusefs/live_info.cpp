#include "fusefs/live_info.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "lib/ops/info.h"

namespace platter::fusefs {

Result<std::string> live_info(const Served& served, const Disk& disk) {
  nlohmann::json info =
      TRY(describe({.container = served.container, .state = disk.state(), .chain = true}));
  info["live"] = {{"pid", getpid()},
                  {"transport", "/dev/fuse"},
                  {"since", served.since},
                  {"threads", served.threads},
                  {"open_files", served.open_files.count()},
                  {"requests", served.counters.requests.load(std::memory_order_relaxed)},
                  {"bytes", served.counters.bytes.load(std::memory_order_relaxed)}};
  return info.dump(2) + "\n";
}

}  // namespace platter::fusefs
