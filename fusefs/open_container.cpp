#include "fusefs/open_container.h"

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

#include "fusefs/overlay.h"
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

Result<std::unique_ptr<Container>> open_with(const MountOptions& options,
                                             ContainerOptions container, KeySource& keys) {
  OverlayKeys all(keys);
  container.keys = &all;
  if (options.overlay) container.overlay = TRY(open_overlay(options, container.access, all));
  return Container::open(options.image, container);
}

void tell(const std::string& text) { fmt::print(stderr, "platterfs: {}\n", printable(text)); }

}  // namespace

Result<Opened> open_container(const MountOptions& options) {
  PassphraseSource keys(options.key);
  Result<std::unique_ptr<Container>> first = open_with(options, options.container, keys);
  if (first) return Opened{*std::move(first), {}};
  const bool thrown_away = options.overlay && options.overlay_file.empty();
  if (options.container.access == Access::read || thrown_away ||
      !cannot_be_written(first.error())) {
    return std::move(first.error());
  }
  ContainerOptions reading = options.container;
  reading.access = Access::read;
  const std::string& written = options.overlay ? options.overlay_file : options.image;
  return Opened{TRY(open_with(options, reading, keys)),
                std::move(first.error()).within(written).message()};
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
