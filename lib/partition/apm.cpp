#include "lib/partition/apm.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/partition/table_builder.h"

namespace platter {
namespace {

// The map of a real disk has some dozens.
constexpr uint32_t kMaxEntries = 256;
constexpr uint32_t kSmallBlock = 512;

// Empty: it is not inside the disk, or is no entry.
Result<std::optional<ApmEntry>> read_entry(const View& view, uint64_t offset) {
  ApmEntry entry;
  if (!fits(offset, sizeof entry, view.size())) return std::optional<ApmEntry>();
  TRY(view.read(offset, std::as_writable_bytes(std::span(&entry, 1))));
  if (entry.signature != kApmSignature) return std::optional<ApmEntry>();
  return std::optional(entry);
}

// A field of the map as UTF-8: the little that is not ASCII, in one of Apple's old alphabets, is
// shown as a question mark.
std::string text_of(const std::array<char, 32>& field) {
  std::string text(field.begin(), std::ranges::find(field, '\0'));
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  return text;
}

bool is_free(const std::string& type) { return type == "Apple_Free" || type == "Apple_Void"; }

// block: bytes from an entry to the next, and what the entries count in.
Result<std::optional<PartitionTable>> read_map(const View& view, uint32_t block) {
  auto entry = TRY(read_entry(view, block));
  if (!entry) return std::optional<PartitionTable>();
  TableBuilder table(PartitionTable::Scheme::apm, block, view.size());
  const uint32_t said = entry->map_blocks;
  const uint32_t count = std::min(said, kMaxEntries);
  if (said > count) table.warn(fmt::format("of {} entries {} are looked at", said, count));
  for (uint32_t number = 1; number <= count; ++number) {
    entry = TRY(read_entry(view, uint64_t{number} * block));
    if (!entry) {
      table.warn(fmt::format("the map ends before entry {}", number));
      break;
    }
    std::string type = text_of(entry->type);
    if (entry->length == 0 || is_free(type)) continue;
    table.add({.number = number,
               .first = entry->start,
               .last = uint64_t{entry->start} + entry->length - 1,
               .type = std::move(type),
               .name = text_of(entry->name)});
  }
  return std::optional(std::move(table).finish());
}

}  // namespace

Result<std::optional<PartitionTable>> read_apm(const View& view) {
  DriverDescriptor descriptor;
  if (view.size() < kSmallBlock) return std::optional<PartitionTable>();
  TRY(view.read(0, std::as_writable_bytes(std::span(&descriptor, 1))));
  if (descriptor.signature != kDriverSignature) return std::optional<PartitionTable>();
  const uint32_t block = descriptor.block_size;
  if (block > kSmallBlock && block <= 4 * KiB && std::has_single_bit(block)) {
    auto table = TRY(read_map(view, block));
    if (table) return table;
  }
  // Discs that a computer starts from may say 2048 and have a map in blocks of 512.
  return read_map(view, kSmallBlock);
}

}  // namespace platter
