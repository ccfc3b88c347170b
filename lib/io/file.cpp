#include "lib/io/file.h"

#include <cstring>

#include <fmt/format.h>

namespace platter {

Result<size_t> File::read_available(uint64_t offset, MutableBytes out) const {
  size_t done = 0;
  while (done < out.size()) {
    const size_t n = TRY(read_some(offset + done, out.subspan(done)));
    if (n == 0) break;
    done += n;
  }
  return done;
}

Result<void> File::read_exact(uint64_t offset, MutableBytes out) const {
  const size_t n = TRY(read_available(offset, out));
  if (n == out.size()) return {};
  return Error(Errc::corrupt, fmt::format("{}: truncated: {} bytes at {} are missing", name(),
                                          out.size() - n, offset + n));
}

Result<void> File::read_padded(uint64_t offset, MutableBytes out) const {
  const size_t n = TRY(read_available(offset, out));
  if (n < out.size()) std::memset(out.data() + n, 0, out.size() - n);
  return {};
}

Error File::past_the_end(uint64_t offset) const {
  return Error(Errc::corrupt, fmt::format("{}: truncated: nothing at {}", name(), offset));
}

Result<File::Run> File::run_at(uint64_t offset) const {
  const uint64_t size = TRY(stat()).size;
  if (offset >= size) return past_the_end(offset);
  return Run{{0, size}, true};
}

}  // namespace platter
