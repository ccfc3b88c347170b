#include "lib/io/lent_maps.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string_view>

#include "lib/base/log.h"

namespace platter {
namespace {

// A look costs some microseconds; with the kernel's 64 KiB around each fault this is 64 MiB.
constexpr unsigned kLendsPerLook = 1024;

// Bytes of files and shared memory this process has mapped pages of; 0: cannot be told.
uint64_t mapped_bytes() {
  const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  std::array<char, 128> text;
  const ssize_t n = read(fd, text.data(), text.size());
  close(fd);
  if (n <= 0) return 0;
  std::string_view rest(text.data(), static_cast<size_t>(n));
  // proc(5): size, resident, shared.
  for (int skipped = 0; skipped < 2; ++skipped) rest.remove_prefix(rest.find(' ') + 1);
  uint64_t pages = 0;
  std::from_chars(rest.data(), rest.data() + rest.size(), pages);
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

LentMaps& LentMaps::all() {
  // Files may be closed after everything static is gone.
  static auto* const maps = new LentMaps(kLimit);
  return *maps;
}

void LentMaps::add(const std::byte* address, uint64_t length, int fd) {
  const MutexLock lock(mutex_);
  maps_.push_back({const_cast<std::byte*>(address), length, fd});
}

void LentMaps::remove(int fd) {
  const MutexLock lock(mutex_);
  std::erase_if(maps_, [fd](const Map& map) {
    if (map.fd != fd) return false;
    munmap(map.address, map.length);
    return true;
  });
}

void LentMaps::lend() {
  thread_local unsigned lends = 0;
  if (++lends % kLendsPerLook == 0 && mapped_bytes() > limit_) renew();
}

// One call does it: whoever reads there meanwhile waits, and finds the same bytes.
void LentMaps::renew() {
  const MutexLock lock(mutex_);
  for (const Map& map : maps_) {
    if (mmap(map.address, map.length, PROT_READ, MAP_SHARED | MAP_FIXED, map.fd, 0) == MAP_FAILED) {
      log::warning("a mapping of {} bytes could not be renewed", map.length);
    }
  }
}

}  // namespace platter
