#include "fusefs/open_container.h"

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

#include "lib/base/text.h"

namespace platter::fusefs {
namespace {

// What is wrong with writing the image; it may well be read.
bool cannot_be_written(const Error& error) {
  switch (error.code()) {
    case Errc::read_only:
    case Errc::denied:
    case Errc::unsupported: return true;
    default: return error.sys_errno() == ETXTBSY;
  }
}

void tell(const std::string& text) { fmt::print(stderr, "platterfs: {}\n", printable(text)); }

}  // namespace

Result<Opened> open_container(const MountOptions& options) {
  Result<std::unique_ptr<Container>> first = Container::open(options.image, options.container);
  if (first) return Opened{*std::move(first), {}};
  if (options.container.access == Access::read || !cannot_be_written(first.error())) {
    return std::move(first.error());
  }
  ContainerOptions reading = options.container;
  reading.access = Access::read;
  return Opened{TRY(Container::open(options.image, reading)),
                std::move(first.error()).within(options.image).message()};
}

void tell_about(const Opened& opened) {
  const std::vector<ChainLayer>& chain = opened.container->chain();
  if (!opened.refusal.empty() && !chain.front().guessed) {
    tell(opened.refusal + ": mounted read-only");
  }
  for (const ChainLayer& layer : chain) {
    if (layer.guessed) {
      tell(layer.path +
           ": warning: no format claims it: taken for raw, read-only (format=raw if that is "
           "right)");
    }
    for (const std::string& warning : layer.image->info().warnings) {
      tell(fmt::format("{}: warning: {}", layer.path, warning));
    }
  }
}

}  // namespace platter::fusefs
