#include "tests/support/vhdx_builder.h"

#include <algorithm>

#include "lib/base/crc32c.h"
#include "lib/image/registry.h"

namespace platter::test {
namespace {

using Buffer = std::vector<std::byte>;

void put_32(Buffer& out, size_t at, uint64_t value) {
  store(out, at, le32(static_cast<uint32_t>(value)));
}
void put_64(Buffer& out, size_t at, uint64_t value) { store(out, at, le64(value)); }
void put_guid(Buffer& out, size_t at, const Uuid& uuid) {
  const auto bytes = uuid.to_microsoft();
  std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<long>(at));
}
void put_characters(Buffer& out, size_t at, const std::string& text) {
  for (size_t i = 0; i < text.size(); ++i) out[at + i] = static_cast<std::byte>(text[i]);
}
Buffer of_32(uint64_t a) {
  Buffer out(4);
  put_32(out, 0, a);
  return out;
}
Buffer of_64(uint64_t a) {
  Buffer out(8);
  put_64(out, 0, a);
  return out;
}

// In a structure of so many bytes in the file.
void seal(File& file, uint64_t at, size_t size) {
  Buffer bytes(size);
  (void)file.read_padded(at, bytes);
  put_32(bytes, 4, 0);
  (void)file.write(at + 4, as_bytes_of(le32(crc32c(bytes))));
}

void put_header(const VhdxBuilder& b, File& file, size_t n) {
  Buffer out(4096);
  put_characters(out, 0, "head");
  put_64(out, 8, b.sequences[n]);
  put_guid(out, 16, b.file_write);
  put_guid(out, 32, b.data_write);
  put_guid(out, 48, b.log_guid);
  store(out, 64, le16(b.log_version));
  store(out, 66, le16(b.version));
  put_32(out, 68, b.log_length);
  put_64(out, 72, b.log_offset);
  (void)file.write((n + 1) * 64 * KiB, out);
}

void put_regions(const VhdxBuilder& b, File& file, size_t n) {
  Buffer out(16 + 32 * b.regions.size());
  put_characters(out, 0, "regi");
  put_32(out, 8, b.regions.size());
  for (size_t i = 0; i < b.regions.size(); ++i) {
    const size_t at = 16 + 32 * i;
    put_guid(out, at, *Uuid::parse(b.regions[i].guid));
    put_64(out, at + 16, b.regions[i].offset);
    put_32(out, at + 24, b.regions[i].length);
    put_32(out, at + 28, b.regions[i].required);
  }
  (void)file.write((n + 3) * 64 * KiB, out);
}

std::vector<VhdxBuilder::Item> items_of(const VhdxBuilder& b) {
  Buffer parameters = of_32(b.block_size);
  append(parameters, of_32(b.parameters));
  const auto id = b.disk_id.to_microsoft();
  std::vector<VhdxBuilder::Item> items = {
      {.guid = "caa16737-fa36-4d43-b3b6-33f0aa44e76b", .bytes = parameters, .flags = 4},
      {.guid = "2fa54224-cd1b-4876-b211-5dbed83bf4b8", .bytes = of_64(b.disk_size)},
      {.guid = "beca12ab-b2e6-4523-93ef-c309e000c746", .bytes = {id.begin(), id.end()}},
      {.guid = "8141bf1d-a96f-4709-ba47-f233a8faab5f", .bytes = of_32(b.sector_size)},
      {.guid = "cda348c7-445d-4471-9cc9-e9885251c556", .bytes = of_32(b.physical_sector_size)}};
  if ((b.parameters & 2) != 0) {
    items.push_back({.guid = "a8d35f2d-b30b-454d-abf7-d3d84834ab0c",
                     .bytes = vhdx_locator(b.locator),
                     .flags = 4});
  }
  if (b.change_items) b.change_items(items);
  return items;
}

void put_metadata(const VhdxBuilder& b, File& file) {
  const auto items = items_of(b);
  Buffer table(32 + 32 * items.size());
  put_characters(table, 0, "metadata");
  store(table, 10, le16(static_cast<uint16_t>(items.size())));
  uint32_t next = 64 * KiB;
  for (size_t i = 0; i < items.size(); ++i) {
    const auto& item = items[i];
    const uint32_t offset = item.offset != 0 ? item.offset : next;
    put_guid(table, 32 + 32 * i, *Uuid::parse(item.guid));
    put_32(table, 48 + 32 * i, offset);
    put_32(table, 52 + 32 * i, item.length.value_or(static_cast<uint32_t>(item.bytes.size())));
    put_32(table, 56 + 32 * i, item.flags);
    (void)file.write(VhdxBuilder::kMetadata + offset, item.bytes);
    if (item.offset == 0) next += static_cast<uint32_t>(item.bytes.size());
  }
  (void)file.write(VhdxBuilder::kMetadata, table);
}

void put_entry(const VhdxBuilder& b, const VhdxBuilder::Entry& entry, File& file) {
  const size_t count = entry.pages.size() + entry.zeroes.size();
  const size_t descriptors = (count + 2 + 127) / 128;
  Buffer out((descriptors + entry.pages.size() + entry.extra_sectors) * 4096);
  put_characters(out, 0, "loge");
  put_32(out, 8, out.size());
  put_32(out, 12, entry.tail);
  put_64(out, 16, entry.sequence);
  put_32(out, 24, count);
  put_guid(out, 32, entry.guid.value_or(b.log_guid));
  put_64(out, 48, entry.flushed);
  put_64(out, 56, entry.last);
  size_t at = 64;
  for (size_t i = 0; i < entry.pages.size(); ++i, at += 32) {
    const Buffer& page = entry.pages[i].bytes;
    put_characters(out, at, "desc");
    std::copy_n(page.end() - 4, 4, out.begin() + static_cast<long>(at) + 4);
    std::copy_n(page.begin(), 8, out.begin() + static_cast<long>(at) + 8);
    put_64(out, at + 16, entry.pages[i].offset);
    put_64(out, at + 24, entry.sequence);
    const size_t sector = (descriptors + i) * 4096;
    put_characters(out, sector, "data");
    put_32(out, sector + 4, entry.sequence >> 32);
    std::copy_n(page.begin() + 8, 4084, out.begin() + static_cast<long>(sector) + 8);
    put_32(out, sector + 4092, entry.sequence);
  }
  for (const Range& zero : entry.zeroes) {
    put_characters(out, at, "zero");
    put_64(out, at + 8, zero.length);
    put_64(out, at + 16, zero.offset);
    put_64(out, at + 24, entry.sequence);
    at += 32;
  }
  if (entry.before_checksum) entry.before_checksum(out);
  put_32(out, 4, 0);
  put_32(out, 4, crc32c(out));
  if (entry.after_checksum) entry.after_checksum(out);
  for (size_t i = 0; i < out.size(); i += 4096) {
    const uint64_t to = b.log_offset + (entry.at + i) % b.log_length;
    (void)file.write(to, Bytes(out).subspan(i, std::min<size_t>(4096, out.size() - i)));
  }
}

}  // namespace

std::vector<std::byte> vhdx_locator(const std::vector<std::pair<std::string, std::string>>& pairs) {
  Buffer out(20 + 12 * pairs.size());
  put_guid(out, 0, *Uuid::parse("b04aefb7-d19e-4a81-b789-25b8e9445913"));
  store(out, 18, le16(static_cast<uint16_t>(pairs.size())));
  size_t at = 20;
  for (const auto& [key, value] : pairs) {
    for (size_t which = 0; which < 2; ++which) {
      const std::string& text = which == 0 ? key : value;
      put_32(out, at + 4 * which, out.size());
      store(out, at + 8 + 2 * which, le16(static_cast<uint16_t>(2 * text.size())));
      for (const char c : text) {
        out.push_back(static_cast<std::byte>(c));
        out.push_back(std::byte{0});
      }
    }
    at += 12;
  }
  return out;
}

void VhdxBuilder::put_block(uint64_t index, uint64_t n, uint8_t first, uint64_t state) {
  const uint64_t at = kData + n * block_size;
  bat[index] = at | state;
  data.push_back({at, block_size, first});
}

std::shared_ptr<MemoryFile> VhdxBuilder::file(const std::string& name) const {
  auto file = std::make_shared<MemoryFile>(name);
  Buffer identifier(8 + 2 * creator.size());
  put_characters(identifier, 0, signature);
  for (size_t i = 0; i < creator.size(); ++i) {
    identifier[8 + 2 * i] = static_cast<std::byte>(creator[i]);
  }
  (void)file->write(0, identifier);
  for (size_t n = 0; n < 2; ++n) {
    put_header(*this, *file, n);
    put_regions(*this, *file, n);
  }
  put_metadata(*this, *file);
  uint64_t bat_at = kBat;
  for (const Region& region : regions) {
    if (region.guid == kBatGuid) bat_at = region.offset;
  }
  for (const auto& [index, entry] : bat) {
    (void)file->write(bat_at + 8 * index, as_bytes_of(le64(entry)));
  }
  for (const Data& run : data) {
    Buffer filled(run.length);
    for (size_t i = 0; i < filled.size(); ++i) filled[i] = vhdx_byte(run.first, i);
    (void)file->write(run.offset, filled);
  }
  for (const auto& [offset, what] : bytes) (void)file->write(offset, what);
  for (const auto& [offset, value] : words32) {
    (void)file->write(offset, as_bytes_of(le32(static_cast<uint32_t>(value))));
  }
  for (const auto& [offset, value] : words64) (void)file->write(offset, as_bytes_of(le64(value)));
  for (const Entry& entry : log) put_entry(*this, entry, *file);
  for (size_t n = 0; n < 2; ++n) {
    seal_vhdx_header(*file, n);
    seal_vhdx_regions(*file, n);
  }
  for (const auto& [offset, value] : broken32) {
    (void)file->write(offset, as_bytes_of(le32(static_cast<uint32_t>(value))));
  }
  const uint64_t end = std::max<uint64_t>(align_up(file->stat()->size, MiB), kData);
  (void)file->resize(file_size.value_or(end));
  return file;
}

Result<ImagePtr> open_vhdx(FilePtr file, bool info_only) {
  const auto resolver = deny_resolver("a test image is alone");
  return find_format("vhdx")->open(OpenRequest{.file = std::move(file),
                                               .resolver = *resolver,
                                               .tables = std::make_shared<PageCache>(MiB),
                                               .info_only = info_only});
}

void seal_vhdx_header(File& file, size_t n) { seal(file, (n + 1) * 64 * KiB, 4096); }
void seal_vhdx_regions(File& file, size_t n) { seal(file, (n + 3) * 64 * KiB, 64 * KiB); }

}  // namespace platter::test
