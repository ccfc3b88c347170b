#include "formats/dmg/check.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/dmg/dmg_image.h"
#include "lib/base/crc32.h"
#include "lib/base/text.h"

namespace platter::dmg {
namespace {

bool is_crc32(const StoredChecksum& checksum) {
  return checksum.type == kCrc32 && checksum.bits == 32;
}

Result<uint32_t> crc32_of(const File& file, const Range& range, uint32_t before) {
  std::vector<std::byte> piece(std::min<uint64_t>(range.length, MiB));
  uint32_t crc = before;
  for (uint64_t done = 0; done < range.length; done += piece.size()) {
    piece.resize(std::min<uint64_t>(piece.size(), range.length - done));
    TRY(file.read_exact(range.offset + done, piece));
    crc = crc32(piece, crc);
  }
  return crc;
}

class ChecksumCheck {
 public:
  ChecksumCheck(const File& file, const Places& places, CheckReport& report)
      : file_(file), places_(places), report_(report) {}

  Result<void> run() {
    if (is_crc32(places_.data_fork_checksum)) {
      compare("data fork", places_.data_fork_checksum, TRY(crc32_of(file_, places_.data_fork, 0)));
    }
    const auto visit = [this](size_t number, const std::string& name, Bytes bytes) {
      return table(number, name, bytes);
    };
    TRY(for_each_table(file_, places_, visit));
    if (all_have_crc32_ && is_crc32(places_.master_checksum)) {
      compare("tables", places_.master_checksum, master_);
    }
    return {};
  }

 private:
  void compare(const std::string& what, const StoredChecksum& stored, uint32_t found) {
    if (stored.value == found) return;
    report_.corruption(fmt::format("{}: has the checksum {:#010x}, not {:#010x} as the image says",
                                   what, found, uint32_t{stored.value}));
  }

  Result<void> table(size_t number, const std::string& name, Bytes bytes) {
    const Part part = TRY(parse_table(places_, number, name, bytes));
    std::string what = fmt::format("table {}", number);
    if (!name.empty()) what += fmt::format(" \"{}\"", printable(name));
    uint32_t crc = 0;
    bool whole = true;
    for (const Chunk& chunk : part.chunks) {
      ++report_.blocks;
      const Result<uint32_t> next = crc_with(chunk, crc);
      if (next) {
        crc = *next;
        continue;
      }
      // That the host cannot read it says nothing of the image.
      if (next.error().code() != Errc::corrupt) return Error(next.error());
      whole = false;
      report_.corruption(fmt::format("{}: the {} chunk at sector {}: {}", what,
                                     type_name(chunk.type), chunk.start / kSector,
                                     next.error().message()));
    }
    if (!is_crc32(part.checksum)) {
      all_have_crc32_ = false;
      return {};
    }
    master_ = crc32(as_bytes_of(part.checksum.value), master_);
    if (whole) compare(what, part.checksum, crc);
    return {};
  }

  // The checksum of what came before, and of what the chunk makes.
  Result<uint32_t> crc_with(const Chunk& chunk, uint32_t before) {
    if (chunk.type == kIgnored) return before;
    if (chunk.type == kZeroes) return crc32_of_zeroes(chunk.length, before);
    if (chunk.type == kRaw) {
      const uint32_t crc = TRY(crc32_of(file_, {chunk.host, chunk.stored}, before));
      return crc32_of_zeroes(chunk.length - chunk.stored, crc);
    }
    const Codec* const codec = codec_of(chunk.type);
    if (codec == nullptr) return Error(Errc::corrupt, "is of a type that is not known");
    stored_.resize(chunk.stored);
    unit_.resize(chunk.length);
    TRY(file_.read_exact(chunk.host, stored_));
    TRY(codec->decode(stored_, unit_));
    return crc32(unit_, before);
  }

  const File& file_;
  const Places& places_;
  CheckReport& report_;
  std::vector<std::byte> stored_, unit_;
  uint32_t master_ = 0;  // of the tables' checksums
  bool all_have_crc32_ = true;
};

}  // namespace

Result<void> check_image(const File& file, const Places& places, CheckReport& report) {
  return ChecksumCheck(file, places, report).run();
}

}  // namespace platter::dmg
