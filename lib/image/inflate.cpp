#include "lib/image/inflate.h"

#include <cerrno>
#include <memory>

#include <libdeflate.h>
#include <zlib.h>

#include "lib/base/checked.h"

namespace platter {
namespace {

struct FreeDecompressor {
  void operator()(libdeflate_decompressor* d) const { libdeflate_free_decompressor(d); }
};
using Decompressor = std::unique_ptr<libdeflate_decompressor, FreeDecompressor>;

// Null: out of memory.
libdeflate_decompressor* decompressor() {
  thread_local const Decompressor own(libdeflate_alloc_decompressor());
  return own.get();
}

// The quick way: a stream that ends exactly with the unit.
bool inflate_exact(Bytes stored, MutableBytes unit) {
  libdeflate_decompressor* const d = decompressor();
  return d != nullptr && libdeflate_deflate_decompress(d, stored.data(), stored.size(), unit.data(),
                                                       unit.size(), nullptr) == LIBDEFLATE_SUCCESS;
}

class InflateStream {
 public:
  InflateStream() : ready_(inflateInit2(&stream_, -MAX_WBITS) == Z_OK) {}
  ~InflateStream() {
    if (ready_) inflateEnd(&stream_);
  }
  InflateStream(const InflateStream&) = delete;
  InflateStream& operator=(const InflateStream&) = delete;

  // True when the unit is full and nothing up to there was damaged.
  bool fill(Bytes stored, MutableBytes unit) {
    if (!ready_) return false;
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(stored.data()));
    stream_.avail_in = static_cast<uInt>(stored.size());
    stream_.next_out = reinterpret_cast<Bytef*>(unit.data());
    stream_.avail_out = static_cast<uInt>(unit.size());
    const int status = inflate(&stream_, Z_FINISH);
    return (status == Z_STREAM_END || status == Z_BUF_ERROR) && stream_.avail_out == 0;
  }

 private:
  z_stream stream_{};
  bool ready_;
};

class InflateCodec final : public Codec {
 public:
  Result<void> decode(Bytes stored, MutableBytes unit) const override {
    if (inflate_exact(stored, unit)) return {};
    constexpr uint64_t kMostAtOnce = uint64_t{1} << 30;
    if (stored.size() <= kMostAtOnce && unit.size() <= kMostAtOnce) {
      if (InflateStream().fill(stored, unit)) return {};
    }
    return Error(Errc::corrupt, "compressed cluster: its deflate stream is damaged");
  }
};

class ZlibCodec final : public Codec {
 public:
  Result<void> decode(Bytes stored, MutableBytes unit) const override {
    libdeflate_decompressor* const d = decompressor();
    if (d == nullptr) return Error(Errc::io, "decompressing: out of memory", ENOMEM);
    const auto status = libdeflate_zlib_decompress(d, stored.data(), stored.size(), unit.data(),
                                                   unit.size(), nullptr);
    if (status == LIBDEFLATE_SUCCESS) return {};
    return Error(Errc::corrupt, "compressed data: its zlib stream is damaged");
  }
};

}  // namespace

const Codec& zlib_codec() {
  static const ZlibCodec codec;
  return codec;
}

const Codec& deflate_codec() {
  static const InflateCodec codec;
  return codec;
}

}  // namespace platter
