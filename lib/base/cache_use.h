// How much a cache was of use.
#pragma once

#include <cstdint>

namespace platter {

struct CacheUse {
  uint64_t hits = 0;
  uint64_t misses = 0;
};

}  // namespace platter
