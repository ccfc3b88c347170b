// The one place that knows all formats: an explicit table, so that static linking cannot drop one.
#include <array>

#include "lib/image/registry.h"

namespace platter {

#define FORMAT(name)             \
  namespace name {               \
  const Format& name##_format(); \
  }
#include "formats/formats.inc"
#undef FORMAT

std::span<const Format* const> all_formats() {
#define FORMAT(name) &name::name##_format(),
  static const std::array formats = {
#include "formats/formats.inc"
  };
#undef FORMAT
  return formats;
}

}  // namespace platter
