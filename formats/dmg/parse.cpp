#include "formats/dmg/parse.h"

#include <algorithm>

#include <fmt/format.h>

#include "lib/base/checked.h"

namespace platter::dmg {
namespace {

// Says which table it is about.
class TableParser {
 public:
  TableParser(const Places& places, size_t number) : places_(places), number_(number) {}

  Result<Part> parse(const std::string& name, Bytes bytes) {
    if (bytes.size() < sizeof(TableHeader)) return corrupt("is too short");
    header_ = load<TableHeader>(bytes);
    if (header_.magic != kTableMagic) return corrupt("has no signature");
    if (header_.version != kTableVersion) {
      return Error(Errc::unsupported,
                   fmt::format("table {}: version {}", number_, uint32_t{header_.version}));
    }
    const uint64_t disk = places_.disk_size / kSector;
    if (!fits(header_.first_sector, header_.sectors, disk)) {
      return corrupt("its sectors lie past the end of the disk");
    }
    if (header_.chunks > (bytes.size() - sizeof(TableHeader)) / sizeof(StoredChunk)) {
      return corrupt(
          fmt::format("counts {} chunks in {} bytes", uint32_t{header_.chunks}, bytes.size()));
    }
    Part part{.name = name, .checksum = header_.checksum};
    part.chunks.reserve(header_.chunks);
    for (uint32_t i = 0; i < header_.chunks; ++i) {
      const auto stored =
          load<StoredChunk>(bytes, sizeof(TableHeader) + size_t{i} * sizeof(StoredChunk));
      if (stored.type == kEnd) break;
      if (stored.type == kComment || stored.sectors == 0) continue;
      part.chunks.push_back(TRY(chunk(i, stored)));
    }
    return part;
  }

 private:
  Error corrupt(std::string_view what) const {
    return {Errc::corrupt, fmt::format("table {}: {}", number_, what)};
  }

  Result<Chunk> chunk(uint32_t i, const StoredChunk& stored) const {
    if (!fits(stored.first_sector, stored.sectors, header_.sectors)) {
      return corrupt(fmt::format("chunk {} lies past the end of its part of the disk", i));
    }
    Chunk out{.start = (header_.first_sector + stored.first_sector) * kSector,
              .length = stored.sectors * kSector,
              .type = stored.type};
    if (out.holds_zeroes()) return out;
    const bool raw = stored.type == kRaw;
    if (!raw && (out.length > kMaxUnit || stored.length > kMaxStored)) {
      return corrupt(fmt::format("chunk {} of {} bytes in {}: more than {} MiB", i, out.length,
                                 uint64_t{stored.length}, kMaxUnit / MiB));
    }
    const auto offset = checked_add(header_.data_offset, stored.offset);
    if (!offset || !fits(*offset, stored.length, places_.data_fork.length)) {
      return corrupt(fmt::format("chunk {} lies past the end of the data fork", i));
    }
    out.host = places_.data_fork.offset + *offset;
    out.stored = stored.length;
    if (raw) out.stored = std::min(out.stored, out.length);
    return out;
  }

  const Places& places_;
  const size_t number_;
  TableHeader header_;
};

}  // namespace

bool Chunk::is_known() const {
  return holds_zeroes() || type == kRaw || (type >= kAdc && type <= kXz);
}

std::string type_name(uint32_t type) {
  switch (type) {
    case kZeroes: return "zero";
    case kRaw: return "raw";
    case kIgnored: return "ignored";
    case kAdc: return "adc";
    case kZlib: return "zlib";
    case kBzip2: return "bzip2";
    case kLzfse: return "lzfse";
    case kXz: return "lzma";
    default: return fmt::format("type {:#010x}", type);
  }
}

Result<Part> parse_table(const Places& places, size_t number, const std::string& name,
                         Bytes bytes) {
  return TableParser(places, number).parse(name, bytes);
}

Result<Parsed> parse(const File& file) {
  Parsed out{.places = TRY(parse_trailer(file))};
  const auto add = [&](size_t number, const std::string& name, Bytes bytes) -> Result<void> {
    Part part = TRY(parse_table(out.places, number, name, bytes));
    out.chunk_count += part.chunks.size();
    out.parts.push_back({part.name, part.chunks.size()});
    if (out.chunks.empty()) {
      out.chunks = std::move(part.chunks);
    } else {
      out.chunks.insert(out.chunks.end(), part.chunks.begin(), part.chunks.end());
    }
    if (part.checksum.type != kNoChecksum) out.has_checksums = true;
    return {};
  };
  TRY(for_each_table(file, out.places, add));
  if (out.parts.empty()) return Error(Errc::corrupt, "has no table of chunks");
  std::ranges::sort(out.chunks, {}, &Chunk::start);
  for (size_t i = 1; i < out.chunks.size(); ++i) {
    if (out.chunks[i - 1].end() > out.chunks[i].start) {
      return Error(Errc::corrupt, fmt::format("tables: two chunks hold the sector {}",
                                              out.chunks[i].start / kSector));
    }
  }
  // What no chunk holds is zeroes as well.
  std::erase_if(out.chunks, [](const Chunk& chunk) { return chunk.holds_zeroes(); });
  out.chunks.shrink_to_fit();
  return out;
}

}  // namespace platter::dmg
