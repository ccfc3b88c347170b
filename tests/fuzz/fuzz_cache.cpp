// libFuzzer's entry; see targets.h.
#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  platter::test::fuzz_cache(std::as_bytes(std::span(data, size)));
  return 0;
}
