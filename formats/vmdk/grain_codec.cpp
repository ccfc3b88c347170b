#include "formats/vmdk/grain_codec.h"

#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <libdeflate.h>

namespace platter::vmdk {
namespace {

struct FreeGrainDecompressor {
  void operator()(libdeflate_decompressor* d) const { libdeflate_free_decompressor(d); }
};

libdeflate_decompressor* grain_decompressor() {
  thread_local const std::unique_ptr<libdeflate_decompressor, FreeGrainDecompressor> own(
      libdeflate_alloc_decompressor());
  return own.get();
}

}  // namespace

Result<void> GrainCodec::decode(Bytes stored, MutableBytes unit) const {
  Bytes stream = stored;
  if (markers_) {
    if (stored.size() < sizeof(RawGrainMarker)) {
      return Error(Errc::corrupt, "compressed grain: its marker is cut off");
    }
    const auto marker = load<RawGrainMarker>(stored);
    stream = stored.subspan(sizeof marker);
    if (marker.size > stream.size()) {
      return Error(Errc::corrupt, fmt::format("compressed grain: {} bytes do not fit in its place",
                                              uint32_t{marker.size}));
    }
    stream = stream.first(marker.size);
  }
  libdeflate_decompressor* const decompressor = grain_decompressor();
  if (decompressor == nullptr) return Error(Errc::io, "no memory to decompress a grain");
  size_t read = 0, made = 0;
  const libdeflate_result result = libdeflate_zlib_decompress_ex(
      decompressor, stream.data(), stream.size(), unit.data(), unit.size(), &read, &made);
  if (result == LIBDEFLATE_INSUFFICIENT_SPACE) {
    return Error(Errc::corrupt,
                 fmt::format("compressed grain: it has more than {} bytes", unit.size()));
  }
  if (result != LIBDEFLATE_SUCCESS) {
    return Error(Errc::corrupt, "compressed grain: its zlib stream is damaged");
  }
  std::memset(unit.data() + made, 0, unit.size() - made);
  return {};
}

}  // namespace platter::vmdk
