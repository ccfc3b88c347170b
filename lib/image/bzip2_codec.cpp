#include "lib/image/bzip2_codec.h"

#include <cerrno>
#include <limits>

#include <bzlib.h>

namespace platter {
namespace {

class Bzip2Codec final : public Codec {
 public:
  Result<void> decode(Bytes stored, MutableBytes unit) const override {
    constexpr size_t kMost = std::numeric_limits<unsigned>::max();
    if (stored.size() > kMost || unit.size() > kMost) return damaged();
    auto length = static_cast<unsigned>(unit.size());
    // The library takes both as char*, and writes only to the first.
    const int status =
        BZ2_bzBuffToBuffDecompress(reinterpret_cast<char*>(unit.data()), &length,
                                   reinterpret_cast<char*>(const_cast<std::byte*>(stored.data())),
                                   static_cast<unsigned>(stored.size()), 0, 0);
    if (status == BZ_MEM_ERROR) return Error(Errc::io, "bzip2: out of memory", ENOMEM);
    if (status != BZ_OK || length != unit.size()) return damaged();
    return {};
  }

 private:
  static Error damaged() { return {Errc::corrupt, "compressed data: its bzip2 stream is damaged"}; }
};

}  // namespace

const Codec& bzip2_codec() {
  static const Bzip2Codec codec;
  return codec;
}

}  // namespace platter
