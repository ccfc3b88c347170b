#include "tests/support/memory_container.h"

#include <stdexcept>

#include "lib/image/registry.h"

namespace platter::test {

MemoryDisk memory_disk(std::shared_ptr<MemoryFile> file) {
  const auto resolver = deny_resolver("a test disk has one file");
  auto image = find_format("raw")->open(
      OpenRequest{.file = std::move(file),
                  .resolver = *resolver,
                  .tables = std::make_shared<PageCache>(PageCache::kPageSize)});
  if (!image) throw std::runtime_error(image.error().message());
  MemoryDisk disk{std::make_unique<BlockCache>(MiB), *std::move(image), nullptr};
  disk.view = std::make_shared<View>(std::vector<View::Layer>{{disk.image.get(), 0}}, *disk.blocks);
  return disk;
}

}  // namespace platter::test
