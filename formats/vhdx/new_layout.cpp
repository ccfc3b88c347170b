#include "formats/vhdx/new_layout.h"

#include <algorithm>
#include <string_view>

#include "formats/vhdx/headers.h"
#include "formats/vhdx/regions.h"

namespace platter::vhdx {
namespace {

constexpr uint32_t kPhysicalSector = 4096;

// The items, one behind the other, and their table.
class NewMetadata {
 public:
  void add(const DiskGuid& guid, Bytes item, uint32_t flags) {
    MetadataEntry entry{.item = guid};
    entry.offset = static_cast<uint32_t>(kMetadataTableSize + items_.size());
    entry.length = static_cast<uint32_t>(item.size());
    entry.flags = flags | kItemIsRequired;
    append(entries_, as_bytes_of(entry));
    append(items_, item);
    ++count_;
  }
  Result<void> write(File& file, uint64_t at) {
    MetadataTableHeader header;
    header.count = count_;
    TRY(file.write(at, as_bytes_of(header)));
    TRY(file.write(at + sizeof header, entries_));
    return file.write(at + kMetadataTableSize, items_);
  }

 private:
  std::vector<std::byte> entries_, items_;
  uint16_t count_ = 0;
};

Result<void> write_metadata(File& file, const NewLayout& layout) {
  FileParameters parameters;
  parameters.block_size = static_cast<uint32_t>(layout.shape.block_size);
  parameters.flags =
      (layout.fixed ? kLeaveBlocksAllocated : 0) | (layout.shape.has_parent ? kHasParent : 0);
  NewMetadata metadata;
  metadata.add(guid::kFileParameters, as_bytes_of(parameters), 0);
  metadata.add(guid::kDiskSize, as_bytes_of(le64(layout.shape.disk_size)), kItemIsVirtualDisk);
  metadata.add(guid::kDiskId, layout.disk_id.to_microsoft(), kItemIsVirtualDisk);
  metadata.add(guid::kLogicalSector,
               as_bytes_of(le32(static_cast<uint32_t>(layout.shape.sector_size))),
               kItemIsVirtualDisk);
  metadata.add(guid::kPhysicalSector, as_bytes_of(le32(kPhysicalSector)), kItemIsVirtualDisk);
  if (layout.locator) {
    metadata.add(guid::kParentLocator, TRY(encode_locator(*layout.locator)), 0);
  }
  return metadata.write(file, layout.metadata().offset);
}

}  // namespace

Result<void> write_structures(File& file, const NewLayout& layout) {
  TRY(write_metadata(file, layout));
  const std::vector<std::byte> table = new_region_table(layout.bat(), layout.metadata());
  for (const uint64_t at : kRegionTablesAt) TRY(file.write(at, table));
  const Header header{
      .file_write = Uuid::random(), .data_write = Uuid::random(), .log_space = layout.log()};
  Headers headers{.slot = 1};
  for (int i = 0; i < 2; ++i) TRY(write_header(file, headers, header));
  return {};
}

Result<void> write_identifier(File& file) {
  FileIdentifier identifier;
  constexpr std::string_view kCreator = "Platter " PLATTER_VERSION;
  std::copy(kCreator.begin(), kCreator.end(), identifier.creator.begin());
  return file.write(kIdentifierAt, as_bytes_of(identifier));
}

}  // namespace platter::vhdx
