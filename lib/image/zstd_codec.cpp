#include "lib/image/zstd_codec.h"

#include <memory>

#include <zstd.h>

namespace platter {
namespace {

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

}  // namespace

const Codec& zstd_codec() {
  static const ZstdCodec codec;
  return codec;
}

}  // namespace platter
