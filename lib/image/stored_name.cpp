#include "lib/image/stored_name.h"

#include <fmt/format.h>

namespace platter {

Result<std::string> stored_name(std::string_view what, Bytes raw) {
  std::string_view text(reinterpret_cast<const char*>(raw.data()), raw.size());
  text = text.substr(0, text.find_last_not_of('\0') + 1);
  if (text.find('\0') != std::string_view::npos) {
    return Error(Errc::corrupt, fmt::format("{}: has a NUL byte in it", what));
  }
  return std::string(text);
}

}  // namespace platter
