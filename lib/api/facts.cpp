#include "lib/api/facts.h"

namespace platter::api {
namespace {

std::string text_of(const std::optional<Uuid>& uuid) {
  return uuid ? uuid->to_string() : std::string();
}

std::optional<CylinderHeadSector> chs_of(const std::optional<Geometry>& g) {
  if (!g) return std::nullopt;
  return CylinderHeadSector{.cylinders = g->cylinders, .heads = g->heads, .sectors = g->sectors};
}

DiskRun::Kind kind_of(const Extent& extent) {
  switch (extent.kind) {
    case Extent::Kind::absent: return DiskRun::Kind::absent;
    case Extent::Kind::zero: return DiskRun::Kind::zero;
    case Extent::Kind::encoded: return DiskRun::Kind::compressed;
    case Extent::Kind::data: break;
  }
  return extent.cipher != nullptr ? DiskRun::Kind::encrypted : DiskRun::Kind::data;
}

}  // namespace

Result<ImageFacts> facts_of(const ChainLayer& layer, OpenFlags flags) {
  const ImageInfo& info = layer.image->info();
  ImageFacts facts{.path = layer.path,
                   .format = info.format,
                   .variant = info.variant,
                   .flags = flags,
                   .size = layer.image->size(),
                   .block_size = info.block_size,
                   .uuid = text_of(info.uuid),
                   .modification_uuid = text_of(info.modification_uuid),
                   .has_parent = info.parent.has_value(),
                   .comment = info.comment,
                   .pchs = chs_of(info.pchs),
                   .lchs = chs_of(info.lchs),
                   .dirty = info.dirty,
                   .corrupt = info.corrupt,
                   .encrypted = info.encrypted,
                   .warnings = info.warnings};
  for (const FilePtr& file : layer.image->files()) {
    const FileStat st = TRY(file->stat());
    facts.file_size += st.size;
    facts.allocated += st.allocated;
  }
  if (info.parent) {
    facts.parent = info.parent->reference;
    facts.parent_uuid = text_of(info.parent->uuid);
    facts.parent_modification_uuid = text_of(info.parent->modification_uuid);
  }
  facts.warnings.insert(facts.warnings.end(), layer.warnings.begin(), layer.warnings.end());
  return facts;
}

DiskRun run_of(const View::Mapped& mapped, size_t images) {
  const Range& range = mapped.extent.guest;
  return {.offset = range.offset,
          .length = range.length,
          .kind = kind_of(mapped.extent),
          .image = images - 1 - mapped.depth};
}

SnapshotFacts facts_of(const SnapshotInfo& snapshot) {
  return {.id = snapshot.format_id,
          .name = snapshot.name,
          .size = snapshot.size,
          .created_ns = snapshot.created_ns};
}

}  // namespace platter::api
