#include "lib/ops/amend.h"

#include <algorithm>

#include <fmt/format.h>

#include "lib/container/container.h"

namespace platter {
namespace {

Result<void> check_options(const Format& format, const Options& options) {
  const auto specs = format.amend_options();
  if (specs.empty()) {
    return Error(Errc::unsupported,
                 fmt::format("{} images have nothing that can be amended", format.name()));
  }
  for (const auto& [name, value] : options) {
    if (std::ranges::find(specs, name, &OptionSpec::name) != specs.end()) continue;
    std::vector<std::string_view> known;
    for (const OptionSpec& spec : specs) known.push_back(spec.name);
    return Error(Errc::invalid, fmt::format("{} cannot amend \"{}\"; it can {}", format.name(),
                                            name, fmt::join(known, ", ")));
  }
  return {};
}

}  // namespace

Result<void> amend_image(const AmendArgs& args) {
  const auto container = TRY(Container::open(args.path, {.format = args.format,
                                                         .parents = false,
                                                         .access = Access::write,
                                                         .lock = true,
                                                         .writer = {.flush_every_ms = 0},
                                                         .keys = args.keys}));
  const ChainLayer& top = container->chain().front();
  TRY_IN(args.path, check_options(*top.format, args.options));
  TRY_IN(args.path, top.image->amend({args.options.begin(), args.options.end()}));
  return {};
}

}  // namespace platter
