#include "lib/ops/set.h"

#include <algorithm>

#include <fmt/format.h>

#include "lib/base/text.h"
#include "lib/container/container.h"

namespace platter {

Result<Metadata> parse_metadata(const std::vector<std::string>& words) {
  Metadata values;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return Error(Errc::invalid, fmt::format("{}: is not KEY=VALUE", printable(word)));
    }
    std::string key = word.substr(0, equals);
    if (std::ranges::find(values, key, &Metadata::value_type::first) != values.end()) {
      return Error(Errc::invalid, fmt::format("{}: is given twice", printable(key)));
    }
    values.emplace_back(std::move(key), word.substr(equals + 1));
  }
  return values;
}

Result<void> set_metadata(const SetArgs& args) {
  const auto container = TRY(Container::open(args.path, {.format = args.format,
                                                         .parents = false,
                                                         .access = Access::write,
                                                         .lock = true,
                                                         .writer = {.flush_every_ms = 0}}));
  TRY_IN(args.path, container->chain().front().image->set_metadata(args.values));
  return {};
}

}  // namespace platter
