#include "tests/support/disk_digest.h"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

#include "lib/container/extent_walk.h"
#include "lib/io/posix_file.h"
#include "tests/support/sha256.h"

namespace platter::test {
namespace {

constexpr uint64_t kChunk = 64 * KiB;

// Chunks come in ascending order, some of them more than once.
class SparseDigest {
 public:
  using Read = std::function<Result<void>(uint64_t offset, MutableBytes out)>;
  SparseDigest(uint64_t size, Read read) : size_(size), read_(std::move(read)) {}

  // Range may hold other bytes than zeroes.
  Result<void> add(const Range& range) {
    uint64_t at = std::max(next_, align_down(range.offset, kChunk));
    for (; at < range.end(); at += kChunk) {
      std::vector<std::byte> chunk(std::min(kChunk, size_ - at));
      TRY(read_(at, chunk));
      next_ = at + kChunk;
      const bool blank =
          std::all_of(chunk.begin(), chunk.end(), [](std::byte b) { return b == std::byte{0}; });
      if (blank) continue;
      const std::string line = fmt::format("{:x} {}\n", at, sha256_of(chunk));
      digest_.add(std::as_bytes(std::span(line)));
    }
    return {};
  }
  std::string text() { return "nz64k:" + digest_.hex(); }

 private:
  uint64_t size_;
  Read read_;
  uint64_t next_ = 0;
  Sha256 digest_;
};

}  // namespace

Result<std::string> sha256_of_disk(const View& view) {
  Sha256 digest;
  std::vector<std::byte> buffer(1 * MiB);
  for (uint64_t at = 0; at < view.size();) {
    const auto part =
        MutableBytes(buffer).first(std::min<uint64_t>(buffer.size(), view.size() - at));
    TRY(view.read(at, part));
    digest.add(part);
    at += part.size();
  }
  return digest.hex();
}

Result<std::string> sparse_digest_of_disk(const View& view) {
  SparseDigest digest(view.size(),
                      [&](uint64_t at, MutableBytes out) { return view.read(at, out); });
  const auto add = [&](const View::Mapped& m) -> Result<bool> {
    if (!is_hole(m.extent)) TRY(digest.add(m.extent.guest));
    return true;
  };
  TRY(walk(view, {0, view.size()}, add));
  return digest.text();
}

std::string sha256_of_disk_file(const std::string& path) { return sha256_of_file(path); }

std::string sparse_digest_of_disk_file(const std::string& path) {
  const auto file = PosixFile::open(path);
  if (!file) throw std::runtime_error(file.error().message());
  const uint64_t size = (*file)->stat()->size;
  SparseDigest digest(size,
                      [&](uint64_t at, MutableBytes out) { return (*file)->read_exact(at, out); });
  for (uint64_t at = 0; at < size;) {
    const auto run = (*file)->run_at(at);
    if (!run) throw std::runtime_error(run.error().message());
    if (run->data && !digest.add({at, run->range.end() - at})) {
      throw std::runtime_error("cannot read " + path);
    }
    at = run->range.end();
  }
  return digest.text();
}

}  // namespace platter::test
