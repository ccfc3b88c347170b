// How long a campaign runs.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace platter::test {

// The short run is for every `tools/test`; PLATTER_LONG=FACTOR makes it that many times as long.
inline uint64_t rounds(uint64_t short_run) {
  const char* factor = std::getenv("PLATTER_LONG");
  return factor == nullptr ? short_run : short_run * std::strtoull(factor, nullptr, 10);
}

// The same for a long run that has a length of its own.
inline uint64_t rounds(uint64_t short_run, uint64_t long_run) {
  return std::getenv("PLATTER_LONG") == nullptr ? short_run : long_run;
}

}  // namespace platter::test
