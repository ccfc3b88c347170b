#include "tests/support/vhd_builder.h"

#include <algorithm>
#include <cstring>

#include "lib/base/checked.h"
#include "lib/image/registry.h"

namespace platter::test {
namespace {

using Buffer = std::vector<std::byte>;

void put_be16(Buffer& out, size_t at, uint64_t v) {
  store(out, at, be16(static_cast<uint16_t>(v)));
}
void put_be32(Buffer& out, size_t at, uint64_t v) {
  store(out, at, be32(static_cast<uint32_t>(v)));
}
void put_be64(Buffer& out, size_t at, uint64_t v) { store(out, at, be64(v)); }
void put_letters(Buffer& out, size_t at, const std::string& text) {
  std::memcpy(out.data() + at, text.data(), text.size());
}
void put_raw_uuid(Buffer& out, size_t at, const Uuid& uuid) {
  std::ranges::copy(uuid.bytes, out.begin() + static_cast<long>(at));
}

// With the field itself still zero.
void put_checksum(Buffer& out, size_t at) {
  uint32_t sum = 0;
  for (const std::byte b : out) sum += std::to_integer<uint32_t>(b);
  put_be32(out, at, ~sum);
}

uint64_t vhd_size_of(const VhdBuilder& b) {
  if (b.type == 2) return b.disk_size.value_or(512 * b.fixed.size());
  return b.disk_size.value_or(uint64_t{b.block_size} * b.table.size());
}
uint64_t header_at(const VhdBuilder& b) { return b.header_offset.value_or(512); }
uint64_t table_at(const VhdBuilder& b) { return b.table_offset.value_or(1536); }
uint64_t table_end(const VhdBuilder& b) { return align_up(table_at(b) + 4 * b.table.size(), 512); }

Buffer header_of(const VhdBuilder& b) {
  Buffer out(1024);
  put_letters(out, 0, "cxsparse");
  put_be64(out, 8, ~uint64_t{0});
  put_be64(out, 16, table_at(b));
  put_be32(out, 24, 0x10000);
  put_be32(out, 28, b.entries.value_or(static_cast<uint32_t>(b.table.size())));
  put_be32(out, 32, b.block_size);
  put_raw_uuid(out, 40, b.parent_uuid);
  put_be32(out, 56, b.parent_changed);
  for (size_t i = 0; i < b.parent_name.size(); ++i) {
    put_be16(out, 64 + 2 * i, static_cast<unsigned char>(b.parent_name[i]));
  }
  for (size_t i = 0; i < b.locators.size(); ++i) {
    const VhdBuilder::Locator& l = b.locators[i];
    put_letters(out, 576 + 24 * i, l.code);
    put_be32(out, 580 + 24 * i, l.space.value_or(512));
    put_be32(out, 584 + 24 * i, l.length.value_or(static_cast<uint32_t>(l.text.size())));
    put_be64(out, 592 + 24 * i, l.offset.value_or(table_end(b) + 512 * i));
  }
  for (const auto& [at, value] : b.header_words32) put_be32(out, at, value);
  put_checksum(out, 36);
  return out;
}

void put_block(const VhdBuilder& b, size_t n, Buffer& out) {
  const VhdBuilder::Block& block = b.blocks[n];
  const uint64_t at = b.data_at() + n * b.stride();
  const uint64_t used = div_up(div_up(b.block_size, 512), 8);
  std::fill_n(out.begin() + static_cast<long>(at), used, std::byte{0xff});
  for (size_t i = 0; i < block.bits.size(); ++i) out[at + i] = std::byte{block.bits[i]};
  for (uint64_t i = 0; i < b.block_size; ++i) {
    out[at + b.bitmap() + i] = vhd_byte(block.first, i);
  }
}

void put_sparse(const VhdBuilder& b, Buffer& out) {
  const Buffer header = header_of(b);
  std::ranges::copy(header, out.begin() + static_cast<long>(header_at(b)));
  for (uint64_t i = table_at(b); i < table_end(b); ++i) out[i] = std::byte{0xff};
  for (size_t i = 0; i < b.table.size(); ++i) put_be32(out, table_at(b) + 4 * i, b.table[i]);
  for (size_t i = 0; i < b.locators.size(); ++i) {
    if (!b.locators[i].offset) put_letters(out, table_end(b) + 512 * i, b.locators[i].text);
  }
  for (size_t n = 0; n < b.blocks.size(); ++n) put_block(b, n, out);
}

}  // namespace

uint64_t VhdBuilder::bitmap() const { return align_up(div_up(block_size / 512, 8), 512); }

uint64_t VhdBuilder::data_at() const {
  return data_offset.value_or(table_end(*this) + 512 * locators.size());
}

uint64_t VhdBuilder::tail_at() const {
  return type == 2 ? 512 * fixed.size() : data_at() + blocks.size() * stride();
}

VhdBuilder& VhdBuilder::point(const std::vector<int>& numbers) {
  table.assign(numbers.size(), kUnused);
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] >= 0) table[i] = sector_of(static_cast<size_t>(numbers[i]));
  }
  return *this;
}

std::vector<std::byte> VhdBuilder::footer() const {
  Buffer out(512);
  put_letters(out, 0, "conectix");
  put_be32(out, 8, 2);
  put_be32(out, 12, version);
  put_be64(out, 16, type == 2 ? ~uint64_t{0} : header_at(*this));
  put_be32(out, 24, 500000000);
  put_letters(out, 28, creator);
  put_be32(out, 32, 0x00060003);
  put_letters(out, 36, "Wi2k");
  put_be64(out, 40, original_size.value_or(vhd_size_of(*this)));
  put_be64(out, 48, vhd_size_of(*this));
  put_be16(out, 56, cylinders);
  out[58] = std::byte{heads};
  out[59] = std::byte{track};
  put_be32(out, 60, type);
  put_raw_uuid(out, 68, uuid);
  out[84] = std::byte{saved_state};
  for (const auto& [at, value] : footer_words32) put_be32(out, at, value);
  put_checksum(out, 64);
  return out;
}

std::vector<std::byte> VhdBuilder::build() const {
  Buffer out(tail_at() + (tail ? 512 : 0));
  if (type == 2) {
    for (size_t i = 0; i < 512 * fixed.size(); ++i) out[i] = std::byte{fixed[i / 512]};
  } else {
    put_sparse(*this, out);
  }
  const Buffer last = footer();
  if (type != 2 && head_copy) std::ranges::copy(last, out.begin());
  if (tail) std::ranges::copy(last, out.begin() + static_cast<long>(tail_at()));
  for (const auto& [at, value] : words32) put_be32(out, at, value);
  if (file_size && *file_size < out.size()) out.resize(*file_size);
  return out;
}

std::shared_ptr<MemoryFile> VhdBuilder::file(const std::string& name) const {
  auto result = std::make_shared<MemoryFile>(name, build());
  if (file_size) (void)result->resize(*file_size);
  return result;
}

std::string utf16le(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out += c;
    out += '\0';
  }
  return out;
}

Result<ImagePtr> open_vhd(FilePtr file, bool info_only) {
  const auto resolver = deny_resolver("a test image is alone");
  return find_format("vhd")->open(OpenRequest{.file = std::move(file),
                                              .resolver = *resolver,
                                              .tables = std::make_shared<PageCache>(MiB),
                                              .info_only = info_only});
}

// The data begins at once behind a table of one sector, which a larger one needs. The blocks lie in
// another order than the disk's, one is nobody's, one stands apart; some sectors count as
// unwritten.
VhdBuilder used_vhd() {
  VhdBuilder b{.creator = "vpc ",
               .disk_size = kVhdUsedSize,
               .cylinders = 65535,
               .heads = 16,
               .track = 255,
               .block_size = 2048};
  b.table.resize(12);
  b.blocks = {{.first = 0x40}, {.bits = {0x90}}, {.first = 0x60}, {.first = 0x70}};
  b.point({3, -1, 0, -1, -1, 1, -1, -1, -1, -1, -1, -1});
  return b;
}

}  // namespace platter::test
