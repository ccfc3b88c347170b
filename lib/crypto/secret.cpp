#include "lib/crypto/secret.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace platter {

Secret::Secret(size_t size) : size_(size) {
  if (size == 0) return;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t length = (size + page - 1) / page * page;
  void* const at =
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  madvise(at, length, MADV_DONTDUMP);
  // The limit of locked memory is low on some hosts: what does not fit may be swapped.
  (void)mlock(at, length);
  memory_ = {static_cast<std::byte*>(at), length};
}

Secret::~Secret() {
  if (memory_.empty()) return;
  wipe(memory_);
  munmap(memory_.data(), memory_.size());
}

Secret Secret::copy_of(Bytes bytes) {
  Secret copy(bytes.size());
  if (!bytes.empty()) std::memcpy(copy.memory_.data(), bytes.data(), bytes.size());
  return copy;
}

Secret Secret::random(size_t size) {
  Secret secret(size);
  fill_random(secret.bytes());
  return secret;
}

void Secret::cut(size_t size) {
  wipe(memory_.subspan(size, size_ - size));
  size_ = size;
}

void wipe(MutableBytes bytes) { OPENSSL_cleanse(bytes.data(), bytes.size()); }

void fill_random(MutableBytes out) {
  while (!out.empty()) {
    const size_t n = std::min<size_t>(out.size(), MiB);
    // Without randomness nothing that is asked for can be made.
    if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(n)) != 1) abort();
    out = out.subspan(n);
  }
}

bool equal_in_constant_time(Bytes a, Bytes b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void forbid_core_dumps() { prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

}  // namespace platter
