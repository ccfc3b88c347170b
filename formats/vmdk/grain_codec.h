// GrainCodec: a compressed grain, as streamOptimized extents have it, to guest bytes.
#pragma once

#include "formats/vmdk/layout.h"
#include "lib/image/extent.h"

namespace platter::vmdk {

// A zlib stream (RFC 1950), with or without a marker in front that tells its length. One that gives
// fewer bytes than a grain has zeroes behind them; one that gives more is Errc::corrupt.
class GrainCodec final : public Codec {
 public:
  explicit GrainCodec(bool markers) : markers_(markers) {}
  Result<void> decode(Bytes stored, MutableBytes unit) const override;

  // The most bytes that a grain of so many can take in the file.
  static uint32_t max_stored(uint64_t grain) {
    return static_cast<uint32_t>(std::min(2 * grain + sizeof(RawGrainMarker), 64 * MiB));
  }

 private:
  const bool markers_;
};

}  // namespace platter::vmdk
