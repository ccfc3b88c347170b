#include "formats/vmdk/stream_encoder.h"

#include <libdeflate.h>

#include "lib/base/endian.h"
#include "lib/image/deflate.h"

namespace platter::vmdk {
namespace {

// RFC 1950, 2.2: deflate with a window of 32 KiB, the compressor's fastest way, no dictionary.
constexpr be16 kZlibHeader(uint16_t{0x7801});
constexpr size_t kAround = sizeof kZlibHeader + sizeof(be32);

class GrainEncoder final : public Encoder {
 public:
  explicit GrainEncoder(Effort effort) : deflate_(deflate_encoder(effort)) {}

  Result<size_t> encode(Bytes unit, MutableBytes stored) const override {
    if (stored.size() <= kAround) return size_t{0};
    const MutableBytes room = stored.subspan(sizeof kZlibHeader, stored.size() - kAround);
    size_t length = TRY(deflate_.encode(unit, room));
    // The fast way may want more room than the bytes as they are need.
    if (length == 0) length = TRY(deflate_encoder(Effort::usual).encode(unit, room));
    if (length == 0) return size_t{0};
    store(stored, 0, kZlibHeader);
    store(stored, sizeof kZlibHeader + length,
          be32(libdeflate_adler32(1, unit.data(), unit.size())));
    return length + kAround;
  }

 private:
  const Encoder& deflate_;
};

}  // namespace

const Encoder& grain_encoder(Effort effort) {
  static const GrainEncoder usual(Effort::usual), fast(Effort::fast);
  return effort == Effort::fast ? fast : usual;
}

uint64_t max_encoded(uint64_t grain) {
  return libdeflate_deflate_compress_bound(nullptr, grain) + kAround;
}

}  // namespace platter::vmdk
