#include "tests/support/vdi_builder.h"

#include <algorithm>
#include <cstring>

#include "lib/image/registry.h"

namespace platter::test {
namespace {

void put32(std::vector<std::byte>& out, size_t at, uint64_t value) {
  store(out, at, le32(static_cast<uint32_t>(value)));
}

void put_uuid(std::vector<std::byte>& out, size_t at, const Uuid& uuid) {
  const auto bytes = uuid.to_microsoft();
  std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<long>(at));
}

void put_text(std::vector<std::byte>& out, size_t at, size_t room, const std::string& text) {
  std::memcpy(out.data() + at, text.data(), std::min(room, text.size()));
}

uint64_t disk_size_of(const VdiBuilder& b) {
  return b.disk_size.value_or(uint64_t{b.block_size} * b.map.size());
}
uint32_t blocks_of(const VdiBuilder& b) {
  return b.blocks.value_or(static_cast<uint32_t>(b.map.size()));
}
uint32_t allocated_of(const VdiBuilder& b) {
  return b.blocks_allocated.value_or(static_cast<uint32_t>(b.data.size()));
}
size_t map_at(const VdiBuilder& b) { return b.version >> 16 == 0 ? 420 : b.map_offset; }

void put_header1(const VdiBuilder& b, std::vector<std::byte>& out) {
  put32(out, 72, b.header_size);
  put32(out, 76, b.type);
  put32(out, 80, b.flags);
  put_text(out, 84, 256, b.comment);
  put32(out, 340, b.map_offset);
  put32(out, 344, b.data_at());
  put32(out, 360, 512);
  store(out, 368, le64(disk_size_of(b)));
  put32(out, 376, b.block_size);
  put32(out, 380, b.block_extra);
  put32(out, 384, blocks_of(b));
  put32(out, 388, allocated_of(b));
  put_uuid(out, 392, b.uuid);
  put_uuid(out, 408, b.modification_uuid);
  put_uuid(out, 424, b.parent_uuid);
  put_uuid(out, 440, b.parent_modification_uuid);
  if (b.header_size < 400) return;
  for (size_t i = 0; i < 4; ++i) put32(out, 456 + 4 * i, b.lchs[i]);
}

void put_header0(const VdiBuilder& b, std::vector<std::byte>& out) {
  put32(out, 72, b.type);
  put32(out, 76, b.flags);
  put_text(out, 80, 256, b.comment);
  put32(out, 348, 512);
  store(out, 352, le64(disk_size_of(b)));
  put32(out, 360, b.block_size);
  put32(out, 364, blocks_of(b));
  put32(out, 368, allocated_of(b));
  put_uuid(out, 372, b.uuid);
  put_uuid(out, 388, b.modification_uuid);
  put_uuid(out, 404, b.parent_uuid);
}

}  // namespace

uint64_t VdiBuilder::data_at() const {
  if (version >> 16 == 0) return 420 + 4 * map.size();
  return data_offset.value_or(static_cast<uint32_t>(align_up(map_offset + 4 * map.size(), 512)));
}

std::vector<std::byte> VdiBuilder::build() const {
  const uint64_t stride = uint64_t{block_size} + block_extra;
  const uint64_t end = std::max<uint64_t>(map_at(*this) + 4 * map.size(), data_at());
  std::vector<std::byte> out(std::max<uint64_t>(end + data.size() * stride, 512));
  put_text(out, 0, 64, "<<< a VDI made by a test >>>\n");
  put32(out, 64, signature);
  put32(out, 68, version);
  version >> 16 == 0 ? put_header0(*this, out) : put_header1(*this, out);
  for (size_t i = 0; i < map.size(); ++i) put32(out, map_at(*this) + 4 * i, map[i]);
  for (size_t p = 0; p < data.size(); ++p) {
    const uint64_t at = data_at() + p * stride;
    // What nobody may read.
    std::fill_n(out.begin() + static_cast<long>(at), block_extra, std::byte{0xee});
    for (uint64_t i = 0; i < block_size; ++i) out[at + block_extra + i] = vdi_byte(data[p], i);
  }
  for (const auto& [offset, value] : words32) put32(out, offset, value);
  if (file_size && *file_size < out.size()) out.resize(*file_size);
  return out;
}

std::shared_ptr<MemoryFile> VdiBuilder::file(const std::string& name) const {
  auto result = std::make_shared<MemoryFile>(name, build());
  if (file_size) (void)result->resize(*file_size);
  return result;
}

Result<ImagePtr> open_vdi(FilePtr file, bool info_only) {
  const auto resolver = deny_resolver("a test image is alone");
  return find_format("vdi")->open(OpenRequest{.file = std::move(file),
                                              .resolver = *resolver,
                                              .tables = std::make_shared<PageCache>(MiB),
                                              .info_only = info_only});
}

}  // namespace platter::test
