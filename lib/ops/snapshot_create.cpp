#include "lib/ops/snapshot_create.h"

namespace platter {

Result<SnapshotInfo> create_snapshot(const SnapshotArgs& args) {
  const auto container = TRY(Container::open(args.path, {.format = args.format,
                                                         .references = args.references,
                                                         .access = Access::write,
                                                         .lock = true,
                                                         .writer = {.flush_every_ms = 0}}));
  Image& image = *container->chain().front().image;
  TRY_IN(args.path, image.create_snapshot(args.name));
  return image.snapshots().back();
}

}  // namespace platter
