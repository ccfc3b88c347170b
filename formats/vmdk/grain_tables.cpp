#include "formats/vmdk/grain_tables.h"

#include <fmt/format.h>

namespace platter::vmdk {
namespace {

constexpr Range kAnywhere{0, kMaxOffset};

}  // namespace

GrainTables::GrainTables(const FilePtr& file, const GrainLayout& layout,
                         std::shared_ptr<PageCache> clean)
    : layout_(layout),
      entries_(file, kAnywhere, clean, kSector),
      directories_(file, kAnywhere, clean, kSector) {}

bool GrainTables::possible(uint32_t sector, uint64_t end) const {
  return sector != 0 && fits(sector * kSector, layout_.table_bytes(), end);
}

Result<GrainTables::Table> GrainTables::table(uint64_t index,
                                              const std::atomic<uint64_t>& end) const {
  const uint64_t at = layout_.directory + index * sizeof(le32);
  const PageCache::PagePtr page = TRY(directories_.page(at));
  const size_t in_page = at % PageCache::kPageSize;
  if (in_page + sizeof(le32) > page->valid) {
    return Error(Errc::corrupt,
                 fmt::format("grain directory: entry {} is past the end of the file", index));
  }
  const uint32_t entry = load<le32>(Bytes(page->bytes), in_page);
  if (possible(entry, end.load())) return Table{.offset = entry * kSector};
  if (entry != 0) {
    const uint64_t other = layout_.redundant == 0 ? 0 : TRY(redundant_table(index, end));
    if (other != 0) return Table{.offset = other};
    return Error(Errc::corrupt,
                 fmt::format("grain directory: entry {} points past the end of the file", index));
  }
  Table none{.missing = 1};
  const bool changing = directories_.dirty_bytes() != 0;
  const size_t page_end = changing ? align_down(in_page, kSector) + kSector : page->valid;
  for (size_t next = in_page + 4; next + 4 <= std::min(page_end, page->valid); next += 4) {
    if (index + none.missing >= layout_.entries) break;
    if (load<le32>(Bytes(page->bytes), next) != 0) break;
    ++none.missing;
  }
  return none;
}

Result<uint64_t> GrainTables::redundant_table(uint64_t index,
                                              const std::atomic<uint64_t>& end) const {
  const uint32_t entry = TRY(directories_.read<le32>(layout_.redundant + index * sizeof(le32)));
  return possible(entry, end.load()) ? entry * kSector : uint64_t{0};
}

Result<GrainTables::Window> GrainTables::window(uint64_t table, uint64_t index) const {
  const uint64_t at = table + index * sizeof(le32);
  const bool changing = entries_.dirty_bytes() != 0;
  Window found{.page = TRY(entries_.page(at)), .at = at % PageCache::kPageSize};
  const size_t end = changing ? align_down(found.at, kSector) + kSector : PageCache::kPageSize;
  const size_t valid = std::min(end, found.page->valid);
  if (found.at + sizeof(le32) > valid) {
    return Error(Errc::corrupt,
                 fmt::format("grain table: lies past the end of the file ({:#x})", at));
  }
  found.count = std::min<uint64_t>((valid - found.at) / 4, layout_.table_entries - index);
  return found;
}

}  // namespace platter::vmdk
