#include "lib/ops/snapshot.h"

#include <algorithm>

#include "lib/container/choose_snapshot.h"

namespace platter {
namespace {

using What = SnapshotRequest::What;

Result<SnapshotInfo> change(Container& container, const SnapshotArgs& args) {
  const Image& image = *container.chain().front().image;
  SnapshotRequest request{.what = args.what, .id = 0, .name = args.name};
  SnapshotInfo meant;
  if (args.what != What::create) {
    const auto named_by = args.what == What::apply ? NamedBy::id_or_name : NamedBy::name;
    meant = TRY(choose_snapshot(image.snapshots(), args.snapshot, named_by));
    request.id = meant.id;
  }
  TRY(container.change_snapshots(request));
  if (args.what == What::remove) return meant;
  const std::vector<SnapshotInfo> now = image.snapshots();
  if (args.what == What::create) return now.back();
  return *std::find_if(now.begin(), now.end(), [&](const auto& s) { return s.id == meant.id; });
}

}  // namespace

Result<SnapshotInfo> change_snapshots(const SnapshotArgs& args) {
  const auto container = TRY(Container::open(args.path, {.format = args.format,
                                                         .references = args.references,
                                                         .access = Access::write,
                                                         .lock = true,
                                                         .writer = {.flush_every_ms = 0}}));
  Result<SnapshotInfo> done = change(*container, args);
  if (!done) return std::move(done.error()).within(args.path);
  return done;
}

}  // namespace platter
