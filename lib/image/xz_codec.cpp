#include "lib/image/xz_codec.h"

#include <cerrno>

#include <lzma.h>

namespace platter {
namespace {

// A dictionary of 64 MiB, and what goes with it.
constexpr uint64_t kMostMemory = 72 * MiB;

class XzCodec final : public Codec {
 public:
  Result<void> decode(Bytes stored, MutableBytes unit) const override {
    uint64_t memory = kMostMemory;
    size_t taken = 0, made = 0;
    const lzma_ret status = lzma_stream_buffer_decode(
        &memory, 0, nullptr, reinterpret_cast<const uint8_t*>(stored.data()), &taken, stored.size(),
        reinterpret_cast<uint8_t*>(unit.data()), &made, unit.size());
    switch (status) {
      case LZMA_OK:
        if (made == unit.size()) return {};
        break;
      case LZMA_MEM_ERROR: return Error(Errc::io, "xz: out of memory", ENOMEM);
      case LZMA_MEMLIMIT_ERROR:
        return Error(Errc::unsupported,
                     "compressed data: its xz stream wants more memory than it may have");
      case LZMA_OPTIONS_ERROR:
        return Error(Errc::unsupported, "compressed data: its xz stream has unknown filters");
      default: break;
    }
    return Error(Errc::corrupt, "compressed data: its xz stream is damaged");
  }
};

}  // namespace

const Codec& xz_codec() {
  static const XzCodec codec;
  return codec;
}

}  // namespace platter
