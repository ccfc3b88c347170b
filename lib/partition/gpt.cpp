#include "lib/partition/gpt.h"

#include <array>
#include <bit>
#include <cstddef>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/base/crc32.h"
#include "lib/partition/table_builder.h"

namespace platter {
namespace {

// UEFI 2.10, table 5.5.
struct GptHeader {
  std::array<char, 8> signature = {};  // "EFI PART"
  le32 revision;
  le32 header_size;
  le32 header_crc;  // of header_size bytes, with this field zero
  le32 reserved;
  le64 own_lba;
  le64 other_lba;  // where the other copy is
  le64 first_usable, last_usable;
  std::array<std::byte, 16> disk_guid = {};
  le64 entries_lba;
  le32 entry_count;
  le32 entry_size;
  le32 entries_crc;
};
static_assert(sizeof(GptHeader) == 92 && DiskStruct<GptHeader>);
static_assert(offsetof(GptHeader, entries_lba) == 72);

// UEFI 2.10, table 5.6.
struct GptEntry {
  std::array<std::byte, 16> type = {};  // nil: the entry is unused
  std::array<std::byte, 16> guid = {};
  le64 first_lba, last_lba;  // the last one belongs to it
  le64 attributes;
  std::array<le16, 36> name = {};  // UTF-16
};
static_assert(sizeof(GptEntry) == 128 && DiskStruct<GptEntry>);

constexpr std::array<char, 8> kSignature = {'E', 'F', 'I', ' ', 'P', 'A', 'R', 'T'};
constexpr uint64_t kMaxEntriesSize = MiB;
constexpr uint64_t kSectorSizes[] = {512, 4096};

// One copy of the table, checked.
struct GptCopy {
  uint64_t sector_size = 0;
  uint32_t entry_size = 0;
  std::vector<std::byte> entries;
};

// What a look at one place gave. A place without the signature has no copy at all.
struct Look {
  bool found = false;  // the signature is there
  std::optional<GptCopy> copy;
  std::string damage;      // why there is no copy
  uint64_t other_lba = 0;  // of a header whose CRC is right, 0 otherwise
};

// Empty when the header is whole.
std::string header_damage(Bytes sector, const GptHeader& header, uint64_t lba) {
  if (header.header_size < sizeof(GptHeader) || header.header_size > sector.size()) {
    return fmt::format("header of {} bytes", uint32_t{header.header_size});
  }
  std::vector<std::byte> bytes(sector.begin(), sector.begin() + header.header_size);
  store(bytes, offsetof(GptHeader, header_crc), le32(0));
  if (crc32(bytes) != header.header_crc) return "the header's checksum is wrong";
  if (header.own_lba != lba) return "the header says it is somewhere else";
  return {};
}

std::string entries_damage(const GptHeader& header) {
  const uint32_t size = header.entry_size;
  if (size < sizeof(GptEntry) || !std::has_single_bit(size)) {
    return fmt::format("entries of {} bytes", size);
  }
  if (header.entry_count > kMaxEntriesSize / size) {
    return fmt::format("{} entries of {} bytes are more than the limit",
                       uint32_t{header.entry_count}, size);
  }
  return {};
}

// Fills look.copy, or look.damage.
Result<void> read_entries(const View& view, const GptHeader& header, uint64_t sector_size,
                          Look& look) {
  look.damage = entries_damage(header);
  if (!look.damage.empty()) return {};
  const uint64_t length = uint64_t{header.entry_count} * header.entry_size;
  const auto offset = checked_mul(header.entries_lba, sector_size);
  if (!offset || !fits(*offset, length, view.size())) {
    look.damage = "its entries are past the end of the disk";
    return {};
  }
  GptCopy copy{sector_size, header.entry_size, std::vector<std::byte>(length)};
  TRY(view.read(*offset, copy.entries));
  if (crc32(copy.entries) != header.entries_crc) {
    look.damage = "the checksum of its entries is wrong";
    return {};
  }
  look.copy = std::move(copy);
  return {};
}

// Looks for a copy whose header is at lba.
Result<Look> look_at(const View& view, uint64_t sector_size, uint64_t lba) {
  Look look;
  const auto offset = checked_mul(lba, sector_size);
  if (!offset || !fits(*offset, sector_size, view.size())) return look;
  std::vector<std::byte> sector(sector_size);
  TRY(view.read(*offset, sector));
  const auto header = load<GptHeader>(sector);
  if (header.signature != kSignature) return look;
  look.found = true;
  look.damage = header_damage(sector, header, lba);
  if (!look.damage.empty()) return look;
  look.other_lba = header.other_lba;
  TRY(read_entries(view, header, sector_size, look));
  return look;
}

void append_utf8(std::string& out, uint32_t code) {
  const auto put = [&out](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xe0 | code >> 12);
    } else {
      put(0xf0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3f));
    }
    put(0x80 | (code >> 6 & 0x3f));
  }
  put(0x80 | (code & 0x3f));
}

// Ends at the first NUL; a surrogate without its other half becomes U+FFFD.
std::string to_utf8(std::span<const le16> units) {
  std::string out;
  for (size_t i = 0; i < units.size() && units[i] != 0; ++i) {
    uint32_t code = units[i];
    const uint32_t next = i + 1 < units.size() ? uint32_t{units[i + 1]} : 0;
    if (code >= 0xd800 && code < 0xdc00 && next >= 0xdc00 && next < 0xe000) {
      code = 0x10000 + ((code - 0xd800) << 10) + (next - 0xdc00);
      ++i;
    } else if (code >= 0xd800 && code < 0xe000) {
      code = 0xfffd;
    }
    append_utf8(out, code);
  }
  return out;
}

PartitionTable list_partitions(const GptCopy& copy, uint64_t disk_size,
                               const std::string& warning) {
  TableBuilder table(PartitionTable::Scheme::gpt, copy.sector_size, disk_size);
  if (!warning.empty()) table.warn(warning);
  const size_t count = copy.entries.size() / copy.entry_size;
  for (size_t i = 0; i < count; ++i) {
    const auto entry = load<GptEntry>(copy.entries, i * copy.entry_size);
    const Uuid type = Uuid::from_microsoft(entry.type);
    if (type.is_nil()) continue;
    table.add({.number = static_cast<unsigned>(i + 1),
               .first = entry.first_lba,
               .last = entry.last_lba,
               .type = type.to_string(),
               .name = to_utf8(entry.name),
               .uuid = Uuid::from_microsoft(entry.guid)});
  }
  return std::move(table).finish();
}

// The backup of a disk of these sectors: where the primary says it is, else at the end.
Result<Look> look_for_backup(const View& view, uint64_t sector_size, uint64_t named_lba) {
  const uint64_t last = view.size() / sector_size;
  if (named_lba > 1 && named_lba + 1 != last) {
    Look named = TRY(look_at(view, sector_size, named_lba));
    if (named.copy) return named;
  }
  if (last < 3) return Look{};
  return look_at(view, sector_size, last - 1);
}

}  // namespace

Result<PartitionTable> read_gpt(const View& view) {
  std::string damage = "is missing";
  std::array<uint64_t, std::size(kSectorSizes)> named = {};
  for (size_t i = 0; i < named.size(); ++i) {
    const Look primary = TRY(look_at(view, kSectorSizes[i], 1));
    if (primary.copy) return list_partitions(*primary.copy, view.size(), {});
    if (primary.found) damage = "is damaged (" + primary.damage + ")";
    named[i] = primary.other_lba;
  }
  std::string backup_damage = "is missing";
  for (size_t i = 0; i < named.size(); ++i) {
    const Look backup = TRY(look_for_backup(view, kSectorSizes[i], named[i]));
    if (backup.copy) {
      return list_partitions(*backup.copy, view.size(),
                             "the primary GPT " + damage + ": its backup is used");
    }
    if (backup.found) backup_damage = "is damaged (" + backup.damage + ")";
  }
  PartitionTable none;
  none.warnings.push_back("the primary GPT " + damage);
  none.warnings.push_back("the backup GPT " + backup_damage);
  return none;
}

}  // namespace platter
