#include "lib/image/zstd_codec.h"

#include <cerrno>
#include <memory>

#include <zstd.h>
#include <zstd_errors.h>

namespace platter {
namespace {

Error no_memory_for_zstd() { return {Errc::io, "compressing: out of memory", ENOMEM}; }

struct FreeContext {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
using Context = std::unique_ptr<ZSTD_DCtx, FreeContext>;

bool decode_frames(ZSTD_DCtx& context, Bytes stored, MutableBytes unit) {
  ZSTD_DCtx_reset(&context, ZSTD_reset_session_only);
  ZSTD_inBuffer in{stored.data(), stored.size(), 0};
  ZSTD_outBuffer out{unit.data(), unit.size(), 0};
  size_t wanted = 1;  // 0: a frame has just ended
  while (out.pos < out.size) {
    const size_t in_before = in.pos, out_before = out.pos;
    wanted = ZSTD_decompressStream(&context, &out, &in);
    if (ZSTD_isError(wanted) != 0) return false;
    if (in.pos == in_before && out.pos == out_before) return false;
  }
  return wanted == 0;
}

class ZstdCodec final : public Codec {
 public:
  Result<void> decode(Bytes stored, MutableBytes unit) const override {
    thread_local const Context context(ZSTD_createDCtx());
    if (context != nullptr && decode_frames(*context, stored, unit)) return {};
    return Error(Errc::corrupt, "compressed cluster: its zstd frame is damaged");
  }
};

struct FreeZstdCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

class ZstdEncoder final : public Encoder {
 public:
  explicit ZstdEncoder(int level) : level_(level) {}
  Result<size_t> encode(Bytes unit, MutableBytes stored) const override {
    thread_local const std::unique_ptr<ZSTD_CCtx, FreeZstdCompressor> context(ZSTD_createCCtx());
    if (context == nullptr) return no_memory_for_zstd();
    const size_t length = ZSTD_compressCCtx(context.get(), stored.data(), stored.size(),
                                            unit.data(), unit.size(), level_);
    if (ZSTD_isError(length) == 0) return length;
    if (ZSTD_getErrorCode(length) == ZSTD_error_dstSize_tooSmall) return size_t{0};
    return no_memory_for_zstd();
  }

 private:
  const int level_;
};

}  // namespace

const Codec& zstd_codec() {
  static const ZstdCodec codec;
  return codec;
}

// The third level is zstd's own choice, and what QEMU writes.
const Encoder& zstd_encoder(Effort effort) {
  static const ZstdEncoder usual(3), fast(1);
  return effort == Effort::fast ? fast : usual;
}

}  // namespace platter
