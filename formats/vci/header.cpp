#include "formats/vci/header.h"

#include <fmt/format.h>

#include "lib/base/crc32c.h"

namespace platter::vci {
namespace {

constexpr uint64_t kStep = kMinCacheSize / kBlock;  // of a file's size, blocks

uint32_t checksum_of(Header header) {
  header.checksum = 0;
  return crc32c(as_bytes_of(header));
}

// Empty: nothing.
std::string fault_of(const Header& header, uint64_t file_size) {
  if (header.checksum != checksum_of(header)) return "header: wrong checksum";
  if (header.version != kVersion) {
    return fmt::format("header: version {}", uint32_t{header.version});
  }
  const uint64_t blocks = header.blocks;
  if (header.type != kDynamic || header.unclean > 1 || blocks % kStep != 0 ||
      blocks < kMinCacheSize / kBlock || blocks > kMaxCacheSize / kBlock) {
    return "header: impossible values";
  }
  const Shape shape = shape_of(blocks);
  if (header.map != Shape::kMap || header.map_blocks != shape.map_blocks ||
      header.root != shape.root) {
    return "header: its tables are not where they have to be";
  }
  if (file_size > blocks * kBlock) return "the file is larger than its header says";
  return {};
}

}  // namespace

Result<ParsedHeader> read_header(const File& file) {
  const uint64_t size = TRY(file.stat()).size;
  if (size < sizeof(Header)) return Error(Errc::wrong_format, "is no cache image");
  const Header header = TRY(file.read_struct<Header>(0));
  if (header.signature != kSignature) return Error(Errc::wrong_format, "is no cache image");
  if (header.ours != kOurs) {
    return Error(Errc::wrong_format, "is a cache image of another program");
  }
  ParsedHeader parsed{.raw = header, .damage = fault_of(header, size)};
  if (parsed.damage.empty()) parsed.shape = shape_of(header.blocks);
  return parsed;
}

Result<void> write_header(File& file, Header header) {
  header.checksum = checksum_of(header);
  return file.write(0, as_bytes_of(header));
}

}  // namespace platter::vci
