#include "lib/image/adc_codec.h"

#include "lib/image/back_reference.h"

namespace platter {
namespace {

// A run: a control byte, then literals, or the rest of a reference to bytes that were made before.
//   1nnnnnnn                     n + 1 literals follow
//   01nnnnnn dddddddd dddddddd   n + 4 bytes from d + 1 before
//   00nnnndd dddddddd            n + 3 bytes from d + 1 before
bool decode_run(Bytes& stored, MutableBytes unit, size_t& at) {
  const auto control = std::to_integer<unsigned>(stored[0]);
  if ((control & 0x80) != 0) {
    stored = stored.subspan(1);
    return take_literals(stored, unit, at, (control & 0x7f) + 1);
  }
  const bool far = (control & 0x40) != 0;
  const size_t size = far ? 3 : 2;
  if (stored.size() < size) return false;
  const auto byte = [&](size_t i) { return std::to_integer<unsigned>(stored[i]); };
  const size_t length = far ? (control & 0x3f) + 4 : (control >> 2) + 3;
  const size_t distance = (far ? byte(1) << 8 | byte(2) : (control & 3) << 8 | byte(1)) + 1;
  stored = stored.subspan(size);
  return repeat_back(unit, at, distance, length);
}

class AdcCodec final : public Codec {
 public:
  Result<void> decode(Bytes stored, MutableBytes unit) const override {
    size_t at = 0;
    while (at < unit.size()) {
      if (stored.empty() || !decode_run(stored, unit, at)) {
        return Error(Errc::corrupt, "compressed data: its ADC stream is damaged");
      }
    }
    return {};
  }
};

}  // namespace

const Codec& adc_codec() {
  static const AdcCodec codec;
  return codec;
}

}  // namespace platter
