#include "formats/vhdx/items.h"

#include <algorithm>
#include <bit>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "lib/base/checked.h"

namespace platter::vhdx {
namespace {

template <class... Args>
Error bad_metadata(fmt::format_string<Args...> text, Args&&... args) {
  return {Errc::corrupt, "metadata: " + fmt::format(text, std::forward<Args>(args)...)};
}

struct KnownItem {
  DiskGuid guid;
  std::string_view name;
  uint32_t length;  // 0: any
};
constexpr KnownItem kKnownItems[] = {
    {guid::kFileParameters, "file parameters", sizeof(FileParameters)},
    {guid::kDiskSize, "virtual disk size", sizeof(le64)},
    {guid::kDiskId, "virtual disk id", sizeof(DiskGuid)},
    {guid::kLogicalSector, "logical sector size", sizeof(le32)},
    {guid::kPhysicalSector, "physical sector size", sizeof(le32)},
    {guid::kParentLocator, "parent locator", 0}};

const KnownItem* known_item(const DiskGuid& guid) {
  for (const KnownItem& item : kKnownItems) {
    if (item.guid == guid) return &item;
  }
  return nullptr;
}

bool is_user(const MetadataEntry& entry) { return (entry.flags & kItemIsUser) != 0; }

// Inside the region, behind the table.
Result<void> check_place(const MetadataEntry& entry, const Range& region) {
  const bool empty = entry.length == 0;
  if (empty && entry.offset == 0) return {};
  if (entry.length > kMaxItemLength || entry.offset < kMetadataTableSize ||
      !fits(entry.offset, entry.length, region.length)) {
    return bad_metadata("an item of {} bytes at {} does not lie in its region",
                        uint32_t{entry.length}, uint32_t{entry.offset});
  }
  return {};
}

Result<void> check_kind(const MetadataEntry& entry) {
  const KnownItem* known = is_user(entry) ? nullptr : known_item(entry.item);
  if (known == nullptr) {
    if ((entry.flags & kItemIsRequired) == 0) return {};
    return Error(Errc::unsupported, fmt::format("metadata: an unknown item is required: {}",
                                                Uuid::from_microsoft(entry.item).to_string()));
  }
  if (known->length != 0 && entry.length != known->length) {
    return bad_metadata("{}: {} bytes instead of {}", known->name, uint32_t{entry.length},
                        known->length);
  }
  return {};
}

Result<void> check_each_once(const std::vector<Item>& table) {
  std::vector<std::pair<DiskGuid, bool>> keys;
  std::vector<Range> places;
  for (const Item& item : table) {
    keys.emplace_back(item.entry.item, is_user(item.entry));
    if (!item.place.empty()) places.push_back(item.place);
  }
  std::sort(keys.begin(), keys.end());
  if (const auto twice = std::adjacent_find(keys.begin(), keys.end()); twice != keys.end()) {
    return bad_metadata("the item {} is there twice",
                        Uuid::from_microsoft(twice->first).to_string());
  }
  std::sort(places.begin(), places.end(),
            [](const Range& a, const Range& b) { return a.offset < b.offset; });
  for (size_t i = 1; i < places.size(); ++i) {
    if (places[i].offset < places[i - 1].end()) return bad_metadata("two items overlap");
  }
  return {};
}

Result<std::vector<Item>> read_table(const File& file, const Range& region) {
  const auto header = TRY(file.read_struct<MetadataTableHeader>(region.offset));
  if (header.signature != MetadataTableHeader().signature) return bad_metadata("no signature");
  if (header.count > kMaxItems || region.length < kMetadataTableSize) {
    return bad_metadata("a table of {} items in a region of {} bytes", uint16_t{header.count},
                        region.length);
  }
  std::vector<MetadataEntry> entries(header.count);
  TRY(file.read_exact(entry_place(region, 0), std::as_writable_bytes(std::span(entries))));
  std::vector<Item> table;
  uint32_t users = 0;
  for (const MetadataEntry& entry : entries) {
    TRY(check_place(entry, region));
    TRY(check_kind(entry));
    if (is_user(entry)) ++users;
    table.push_back({entry, {region.offset + entry.offset, entry.length}});
  }
  if (users > kMaxUserItems) return bad_metadata("{} items of users", users);
  TRY(check_each_once(table));
  return table;
}

template <DiskStruct T>
Result<T> read_item(const File& file, const Items& items, const DiskGuid& guid) {
  const Item* item = items.find(guid);
  if (item == nullptr) return bad_metadata("{}: is missing", known_item(guid)->name);
  return file.read_struct<T>(item->place.offset);
}

Result<uint64_t> read_sector_size(const File& file, const Items& items, const DiskGuid& guid) {
  const uint32_t size = TRY(read_item<le32>(file, items, guid));
  if (size == 512 || size == 4096) return uint64_t{size};
  return bad_metadata("{}: {}", known_item(guid)->name, size);
}

Result<void> read_shape(const File& file, Items& items) {
  const auto parameters = TRY(read_item<FileParameters>(file, items, guid::kFileParameters));
  Shape& shape = items.shape;
  shape.block_size = parameters.block_size;
  if (!std::has_single_bit(shape.block_size) || shape.block_size < kMinBlockSize ||
      shape.block_size > kMaxBlockSize) {
    return bad_metadata("file parameters: blocks of {} bytes", shape.block_size);
  }
  items.fixed = (parameters.flags & kLeaveBlocksAllocated) != 0;
  shape.has_parent = (parameters.flags & kHasParent) != 0;
  const uint32_t unknown = parameters.flags & ~(kLeaveBlocksAllocated | kHasParent);
  if (unknown != 0) {
    items.warnings.push_back(fmt::format("metadata: unknown file parameters {:#x}", unknown));
  }
  shape.sector_size = TRY(read_sector_size(file, items, guid::kLogicalSector));
  items.physical_sector = TRY(read_sector_size(file, items, guid::kPhysicalSector));
  shape.disk_size = TRY(read_item<le64>(file, items, guid::kDiskSize));
  if (shape.disk_size == 0 || shape.disk_size > kMaxDiskSize ||
      shape.disk_size % shape.sector_size != 0) {
    return bad_metadata("virtual disk size: {} bytes, in sectors of {}", shape.disk_size,
                        shape.sector_size);
  }
  return {};
}

Result<void> read_parent_locator(const File& file, Items& items) {
  const Item* item = items.find(guid::kParentLocator);
  if (!items.shape.has_parent) {
    if (item != nullptr) items.warnings.emplace_back("metadata: a parent locator without a parent");
    return {};
  }
  if (item == nullptr) return bad_metadata("parent locator: is missing");
  std::vector<std::byte> bytes(item->place.length);
  TRY(file.read_exact(item->place.offset, bytes));
  items.locator = TRY(parse_locator(bytes));
  return {};
}

}  // namespace

const Item* Items::find(const DiskGuid& guid) const {
  const auto found = std::find_if(table.begin(), table.end(), [&](const Item& item) {
    return item.entry.item == guid && !is_user(item.entry);
  });
  return found == table.end() ? nullptr : &*found;
}

Result<Items> read_items(const File& file, const Range& region) {
  Items items;
  items.table = TRY(read_table(file, region));
  TRY(read_shape(file, items));
  items.disk_id = Uuid::from_microsoft(TRY(read_item<DiskGuid>(file, items, guid::kDiskId)));
  TRY(read_parent_locator(file, items));
  return items;
}

}  // namespace platter::vhdx
