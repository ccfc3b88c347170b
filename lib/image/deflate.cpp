#include "lib/image/deflate.h"

#include <cerrno>
#include <memory>

#include <libdeflate.h>
#include <zlib.h>
#ifdef PLATTER_ISAL
#include <vector>

#include <isa-l/igzip_lib.h>
#endif

#include "lib/base/checked.h"

namespace platter {
namespace {

constexpr uint64_t kMostDeflated = uint64_t{1} << 30;  // lengths are 32 bits wide in zlib and isa-l

Error no_memory() { return {Errc::io, "compressing: out of memory", ENOMEM}; }

struct FreeCompressor {
  void operator()(libdeflate_compressor* c) const { libdeflate_free_compressor(c); }
};

// Its first level makes what zlib's sixth does, in a seventh of the time.
class LibdeflateEncoder final : public Encoder {
 public:
  Result<size_t> encode(Bytes unit, MutableBytes stored) const override {
    thread_local const std::unique_ptr<libdeflate_compressor, FreeCompressor> compressor(
        libdeflate_alloc_compressor(1));
    if (compressor == nullptr) return no_memory();
    return libdeflate_deflate_compress(compressor.get(), unit.data(), unit.size(), stored.data(),
                                       stored.size());
  }
};

// One per thread and level: its tables are larger than most units.
class DeflateStream {
 public:
  explicit DeflateStream(int level)
      : ready_(deflateInit2(&stream_, level, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY) == Z_OK) {}
  ~DeflateStream() {
    if (ready_) deflateEnd(&stream_);
  }
  DeflateStream(const DeflateStream&) = delete;
  DeflateStream& operator=(const DeflateStream&) = delete;

  bool ready() const { return ready_; }
  size_t encode(Bytes unit, MutableBytes stored) {
    if (deflateReset(&stream_) != Z_OK) return 0;
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(unit.data()));
    stream_.avail_in = static_cast<uInt>(unit.size());
    stream_.next_out = reinterpret_cast<Bytef*>(stored.data());
    stream_.avail_out = static_cast<uInt>(stored.size());
    if (deflate(&stream_, Z_FINISH) != Z_STREAM_END) return 0;
    return stored.size() - stream_.avail_out;
  }

 private:
  z_stream stream_{};
  bool ready_;
};

template <int kLevel>
class ZlibEncoder final : public Encoder {
 public:
  Result<size_t> encode(Bytes unit, MutableBytes stored) const override {
    thread_local DeflateStream stream(kLevel);
    if (!stream.ready()) return no_memory();
    if (unit.size() > kMostDeflated || stored.size() > kMostDeflated) return size_t{0};
    return stream.encode(unit, stored);
  }
};

#ifdef PLATTER_ISAL
// Its first level is twice as fast as libdeflate's, and its streams a few percent longer.
template <uint16_t kWindowBits>
class IsalEncoder final : public Encoder {
 public:
  Result<size_t> encode(Bytes unit, MutableBytes stored) const override {
    thread_local std::vector<uint8_t> tables(ISAL_DEF_LVL1_DEFAULT);
    if (unit.size() > kMostDeflated || stored.size() > kMostDeflated) return size_t{0};
    isal_zstream stream;
    isal_deflate_stateless_init(&stream);
    stream.level = 1;
    stream.level_buf = tables.data();
    stream.level_buf_size = static_cast<uint32_t>(tables.size());
    stream.hist_bits = kWindowBits;
    stream.end_of_stream = 1;
    stream.flush = NO_FLUSH;
    stream.next_in = reinterpret_cast<uint8_t*>(const_cast<std::byte*>(unit.data()));
    stream.avail_in = static_cast<uint32_t>(unit.size());
    stream.next_out = reinterpret_cast<uint8_t*>(stored.data());
    stream.avail_out = static_cast<uint32_t>(stored.size());
    if (isal_deflate_stateless(&stream) != COMP_OK || stream.avail_in != 0) return size_t{0};
    return size_t{stream.total_out};
  }
};
using FastEncoder = IsalEncoder<15>;
using Fast4kEncoder = IsalEncoder<12>;
#else
using FastEncoder = LibdeflateEncoder;
using Fast4kEncoder = ZlibEncoder<1>;
#endif

}  // namespace

const Encoder& deflate_encoder(Effort effort) {
  static const LibdeflateEncoder usual;
  static const FastEncoder fast;
  if (effort == Effort::fast) return fast;
  return usual;
}

const Encoder& deflate_4k_encoder(Effort effort) {
  static const ZlibEncoder<6> usual;
  static const Fast4kEncoder fast;
  if (effort == Effort::fast) return fast;
  return usual;
}

}  // namespace platter
