#include <bit>

#include <nlohmann/json.hpp>

#include "lib/base/text.h"
#include "lib/image/cache_image.h"
#include "lib/ops/info.h"

namespace platter {
namespace {

using nlohmann::json;

json id_or_null(const Uuid& id) { return id.is_nil() ? json(nullptr) : json(id.to_string()); }

}  // namespace

Result<std::optional<json>> describe_cache(const std::string& path) {
  const Result<FilePtr> file = PosixFile::open(path);
  if (!file) return std::optional<json>();
  if (!TRY_IN(path, is_cache_image(**file))) return std::optional<json>();
  const CacheContents contents = TRY_IN(path, read_cache_image(**file));
  uint64_t data = 0;
  for (const CachedLine& line : contents.lines) {
    data += kCachePiece * static_cast<uint64_t>(std::popcount(line.pieces));
  }
  const uint64_t used = contents.table_bytes + contents.lines.size() * kCacheLine;
  return std::optional<json>({{"file", printable(path)},
                              {"format", "vci"},
                              {"allocated_size", TRY((*file)->stat()).allocated},
                              {"size", contents.places.size},
                              {"clean", contents.clean},
                              {"damage", contents.damage},
                              {"uuid", id_or_null(contents.disk.uuid)},
                              {"modification_uuid", id_or_null(contents.disk.modification_uuid)},
                              {"disk_size", contents.disk.size},
                              {"lines", contents.lines.size()},
                              {"data_bytes", data},
                              {"table_bytes", contents.table_bytes},
                              {"free_bytes", contents.places.size - used},
                              {"hit_bytes", contents.counts.hits},
                              {"miss_bytes", contents.counts.misses}});
}

}  // namespace platter
