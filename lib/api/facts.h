// What the layers below know, in the words of the library's users.
#pragma once

#include <platter/virtual_disk.h>

#include "lib/container/container.h"

namespace platter::api {

// flags: as the image is open.
Result<ImageFacts> facts_of(const ChainLayer& layer, OpenFlags flags);

// images: how many the view has.
DiskRun run_of(const View::Mapped& mapped, size_t images);

SnapshotFacts facts_of(const SnapshotInfo& snapshot);

}  // namespace platter::api
