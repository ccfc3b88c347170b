#include "lib/ops/check.h"

#include "lib/container/container.h"

namespace platter {

Result<CheckReport> check_image(const CheckArgs& args) {
  const bool repairs = args.repair != Repair::none;
  const auto container =
      TRY(Container::open(args.path, {.format = args.format,
                                      .parents = false,
                                      .access = repairs ? Access::write : Access::read,
                                      .lock = true,
                                      .writer = {.flush_every_ms = 0}}));
  CheckReport report;
  TRY_IN(args.path, container->chain().front().image->check(args.repair, report));
  return report;
}

int check_status(const Result<CheckReport>& outcome) {
  if (outcome) return outcome->corruptions != 0 ? 2 : outcome->leaks != 0 ? 3 : 0;
  switch (outcome.error().code()) {
    case Errc::corrupt: return 2;
    case Errc::unsupported: return 63;
    default: return 1;
  }
}

}  // namespace platter
