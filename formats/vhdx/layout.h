// The structures of a VHDX file, as MS-VHDX (version 4.0) defines them; sections in brackets.
// Everything is little-endian, GUIDs are in Microsoft's byte order, and a checksum is the CRC-32C
// of its whole structure with itself as zero.
#pragma once

#include <array>
#include <cstddef>

#include "lib/base/endian.h"
#include "lib/base/uuid.h"

namespace platter::vhdx {

using DiskGuid = std::array<std::byte, 16>;

// Structures, regions and blocks lie at multiples of this.
inline constexpr uint64_t kUnit = MiB;
// [2.1] The header section: everything in front of the first unit.
inline constexpr uint64_t kIdentifierAt = 0;
inline constexpr std::array<uint64_t, 2> kHeadersAt = {64 * KiB, 128 * KiB};
inline constexpr std::array<uint64_t, 2> kRegionTablesAt = {192 * KiB, 256 * KiB};

// [2.2.1] Never changed once it is written.
struct FileIdentifier {
  std::array<char, 8> signature = {'v', 'h', 'd', 'x', 'f', 'i', 'l', 'e'};
  std::array<le16, 256> creator;  // UTF-16, perhaps without an end
};
static_assert(sizeof(FileIdentifier) == 520 && DiskStruct<FileIdentifier>);

// [2.2.2] What of a header is not reserved; its checksum is that of kHeaderSize bytes.
struct RawHeader {
  le32 signature;
  le32 checksum;
  le64 sequence;
  DiskGuid file_write_guid = {};
  DiskGuid data_write_guid = {};
  DiskGuid log_guid = {};
  le16 log_version;
  le16 version;
  le32 log_length;  // bytes
  le64 log_offset;
};
static_assert(sizeof(RawHeader) == 80 && DiskStruct<RawHeader>);
static_assert(offsetof(RawHeader, log_guid) == 48 && offsetof(RawHeader, log_offset) == 72);
inline constexpr uint32_t kHeaderSignature = 0x64616568;  // "head"
inline constexpr uint64_t kHeaderSize = 4 * KiB;
inline constexpr uint16_t kVersion = 1;

// [2.2.3]
struct RegionTableHeader {
  le32 signature;
  le32 checksum;
  le32 count;
  le32 reserved;
};
struct RegionEntry {
  DiskGuid guid = {};
  le64 offset;
  le32 length;
  le32 required;  // bit 0
};
static_assert(sizeof(RegionTableHeader) == 16 && DiskStruct<RegionTableHeader>);
static_assert(sizeof(RegionEntry) == 32 && DiskStruct<RegionEntry>);
inline constexpr uint32_t kRegionSignature = 0x69676572;  // "regi"
inline constexpr uint64_t kRegionTableSize = 64 * KiB;
inline constexpr uint32_t kMaxRegions = 2047;

// [2.3.1.1]
struct LogEntryHeader {
  le32 signature;
  le32 checksum;
  le32 length;  // bytes, whole sectors
  le32 tail;    // of the oldest entry still needed, from the start of the log
  le64 sequence;
  le32 descriptors;
  le32 reserved;
  DiskGuid log_guid = {};
  le64 flushed_offset;  // the file was that long, durably, when the entry was written
  le64 last_offset;     // what it needs to hold all that is in it
};
// [2.3.1.2], [2.3.1.3]
struct LogDescriptor {
  le32 signature;
  le32 trailing;  // data: the last bytes of the page
  le64 leading;   // data: its first ones; zero: bytes to be zeroed
  le64 offset;    // in the file
  le64 sequence;
};
// [2.3.1.4]
struct LogDataSector {
  le32 signature;
  le32 sequence_high;
  std::array<std::byte, 4084> data = {};
  le32 sequence_low;
};
static_assert(sizeof(LogEntryHeader) == 64 && DiskStruct<LogEntryHeader>);
static_assert(sizeof(LogDescriptor) == 32 && DiskStruct<LogDescriptor>);
static_assert(sizeof(LogDataSector) == 4096 && DiskStruct<LogDataSector>);
inline constexpr uint64_t kLogSector = 4 * KiB;
inline constexpr uint32_t kLogEntrySignature = 0x65676f6c;        // "loge"
inline constexpr uint32_t kDataDescriptorSignature = 0x63736564;  // "desc"
inline constexpr uint32_t kZeroDescriptorSignature = 0x6f72657a;  // "zero"
inline constexpr uint32_t kDataSectorSignature = 0x61746164;      // "data"

// [2.6.1]
struct MetadataTableHeader {
  std::array<char, 8> signature = {'m', 'e', 't', 'a', 'd', 'a', 't', 'a'};
  le16 reserved;
  le16 count;
  std::array<std::byte, 20> reserved2 = {};
};
struct MetadataEntry {
  DiskGuid item = {};
  le32 offset;  // from the start of the region
  le32 length;
  le32 flags;
  le32 reserved;
};
static_assert(sizeof(MetadataTableHeader) == 32 && DiskStruct<MetadataTableHeader>);
static_assert(sizeof(MetadataEntry) == 32 && DiskStruct<MetadataEntry>);
inline constexpr uint64_t kMetadataTableSize = 64 * KiB;
inline constexpr uint32_t kMaxItems = 2047, kMaxUserItems = 1024;
inline constexpr uint64_t kMaxItemLength = MiB;
inline constexpr uint32_t kItemIsUser = 1, kItemIsVirtualDisk = 2, kItemIsRequired = 4;

// [2.6.2.1]
struct FileParameters {
  le32 block_size;
  le32 flags;
};
static_assert(sizeof(FileParameters) == 8 && DiskStruct<FileParameters>);
inline constexpr uint32_t kLeaveBlocksAllocated = 1, kHasParent = 2;
inline constexpr uint64_t kMinBlockSize = MiB, kMaxBlockSize = 256 * MiB;
inline constexpr uint64_t kMaxDiskSize = 64 * 1024 * GiB;

// [2.6.2.6]
struct LocatorHeader {
  DiskGuid type = {};
  le16 reserved;
  le16 count;
};
struct LocatorEntry {
  le32 key_offset, value_offset;  // from the start of the locator
  le16 key_length, value_length;  // bytes
};
static_assert(sizeof(LocatorHeader) == 20 && DiskStruct<LocatorHeader>);
static_assert(sizeof(LocatorEntry) == 12 && DiskStruct<LocatorEntry>);

// [2.5.1] An entry of the BAT: the state in bits 0 to 2, the place in bits 20 to 63.
inline constexpr uint64_t kStateMask = 7;
inline constexpr uint64_t kPlaceMask = ~(kUnit - 1);
enum class State : unsigned char {
  not_present = 0,        // the parent's, or zeroes
  undefined = 1,          // anything; here zeroes
  zero = 2,               // zeroes, whatever a parent has
  unmapped = 3,           // likewise; old contents would be allowed
  unmapped_in_draft = 5,  // 3, before version 1.0
  fully_present = 6,      // also of a sector bitmap block
  partially_present = 7,  // the sector bitmap says where each sector is
};
constexpr State state_of(uint64_t entry) { return static_cast<State>(entry & kStateMask); }
constexpr uint64_t place_of(uint64_t entry) { return entry & kPlaceMask; }
constexpr uint64_t entry_of(State state, uint64_t place = 0) {
  return place | static_cast<uint64_t>(state);
}

// [2.5] Sectors whose bits fill one bitmap block.
inline constexpr uint64_t kSectorsInChunk = uint64_t{1} << 23;
inline constexpr uint64_t kBitmapSize = MiB;

// GUIDs as they lie on disk.
namespace guid {
consteval std::byte hex_byte(const char* digits) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'A' + 10; };
  return static_cast<std::byte>(digit(digits[0]) * 16 + digit(digits[1]));
}
// text: "XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX", upper case.
consteval DiskGuid of(const char* text) {
  constexpr std::array<size_t, 16> kFrom = {6,  4,  2,  0,  11, 9,  16, 14,
                                            19, 21, 24, 26, 28, 30, 32, 34};
  DiskGuid guid{};
  for (size_t i = 0; i < guid.size(); ++i) guid[i] = hex_byte(text + kFrom[i]);
  return guid;
}
inline constexpr DiskGuid kBat = of("2DC27766-F623-4200-9D64-115E9BFD4A08");
inline constexpr DiskGuid kMetadata = of("8B7CA206-4790-4B9A-B8FE-575F050F886E");
inline constexpr DiskGuid kFileParameters = of("CAA16737-FA36-4D43-B3B6-33F0AA44E76B");
inline constexpr DiskGuid kDiskSize = of("2FA54224-CD1B-4876-B211-5DBED83BF4B8");
inline constexpr DiskGuid kDiskId = of("BECA12AB-B2E6-4523-93EF-C309E000C746");
inline constexpr DiskGuid kLogicalSector = of("8141BF1D-A96F-4709-BA47-F233A8FAAB5F");
inline constexpr DiskGuid kPhysicalSector = of("CDA348C7-445D-4471-9CC9-E9885251C556");
inline constexpr DiskGuid kParentLocator = of("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C");
inline constexpr DiskGuid kLocatorType = of("B04AEFB7-D19E-4A81-B789-25B8E9445913");
}  // namespace guid

}  // namespace platter::vhdx
