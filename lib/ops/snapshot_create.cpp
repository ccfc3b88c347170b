#include "lib/ops/snapshot_create.h"

namespace platter {

Result<SnapshotInfo> create_snapshot(const SnapshotArgs& args) {
  const auto container = TRY(Container::open(args.path, {.format = args.format,
                                                         .references = args.references,
                                                         .access = Access::write,
                                                         .lock = true,
                                                         .writer = {.flush_every_ms = 0}}));
  TRY_IN(args.path, container->writer()->change_snapshots(
                        {.what = SnapshotRequest::What::create, .name = args.name}));
  return container->chain().front().image->snapshots().back();
}

}  // namespace platter
