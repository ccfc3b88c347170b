// A cache image counts only once it was closed: while it is in use its header says so, and all that
// stands behind the header is what an earlier use left. So nothing but the header and the lines is
// written before the end; then tree, map and lines are made durable, and the header after them.
#include "lib/image/cache_image.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vci/block_map.h"
#include "formats/vci/header.h"
#include "formats/vci/tree.h"
#include "lib/base/crc32c.h"

namespace platter {
namespace {

using vci::Header;
using vci::ParsedHeader;
using vci::Shape;

// The lines, or what is wrong.
Result<std::vector<CachedLine>> read_lines(const File& file, const ParsedHeader& header) {
  const Shape& shape = header.shape;
  vci::Tree tree = TRY(vci::read_tree(file, shape, header.raw.disk_size));
  if (tree.checksum != header.raw.tree_checksum || tree.nodes != header.raw.nodes ||
      tree.lines.size() != header.raw.lines) {
    return Error(Errc::corrupt, "tree: not the one the header tells of");
  }
  std::vector<std::byte> map(shape.map_blocks * vci::kBlock);
  TRY(file.read_exact(Shape::kMap * vci::kBlock, map));
  if (crc32c(map) != header.raw.map_checksum) return Error(Errc::corrupt, "map: wrong checksum");
  if (map != vci::encode_map(shape, tree.nodes, tree.lines)) {
    return Error(Errc::corrupt, "map: not what the tree uses");
  }
  return std::move(tree.lines);
}

Header header_of(const Shape& shape) {
  return {.signature = vci::kSignature,
          .version = vci::kVersion,
          .blocks = shape.blocks,
          .type = vci::kDynamic,
          .root = shape.root,
          .map = Shape::kMap,
          .map_blocks = static_cast<uint32_t>(shape.map_blocks),
          .ours = vci::kOurs};
}

// What a header says, whether it can be right or not.
void describe(const Header& header, CacheContents& out) {
  out.disk = {.uuid = {header.uuid},
              .modification_uuid = {header.modification_uuid},
              .digest = header.digest,
              .size = header.disk_size};
  out.counts = {.hits = header.hits, .misses = header.misses};
  out.clean = header.unclean == 0;
}

}  // namespace

uint32_t cache_checksum(uint64_t guest, Bytes piece) {
  return crc32c(piece, crc32c(as_bytes_of(le64(guest))));
}

Result<bool> is_cache_image(const File& file) {
  if (TRY(file.stat()).size < sizeof(Header)) return false;
  return TRY(file.read_struct<le32>(0)) == vci::kSignature;
}

Result<CacheContents> read_cache_image(const File& file) {
  const ParsedHeader header = TRY(vci::read_header(file));
  CacheContents out{.damage = header.damage};
  describe(header.raw, out);
  if (!out.damage.empty()) return out;
  out.places = header.shape.places;
  out.table_bytes = vci::table_bytes(header.shape, 1);
  if (!out.clean) return out;
  Result<std::vector<CachedLine>> lines = read_lines(file, header);
  if (lines) {
    out.lines = *std::move(lines);
    out.table_bytes = vci::table_bytes(header.shape, header.raw.nodes);
  } else if (lines.error().code() == Errc::corrupt) {
    out.damage = lines.error().message();
  } else {
    return std::move(lines.error());
  }
  return out;
}

Result<CachePlaces> make_cache_image(File& file, uint64_t size) {
  if (size < kMinCacheSize || size > kMaxCacheSize) {
    return Error(Errc::invalid, fmt::format("a cache image of {} bytes is not possible: {} to {}",
                                            size, kMinCacheSize, kMaxCacheSize));
  }
  const Shape shape = vci::shape_of(size / kMinCacheSize * kMinCacheSize / vci::kBlock);
  // What was there is given back to the host, but for the header: there is no moment at which it
  // could not be told what the file is.
  TRY(vci::write_header(file, header_of(shape)));
  TRY(file.resize(sizeof(Header)));
  TRY(file.sync());
  return shape.places;
}

Result<void> mark_cache_image_open(File& file) {
  Header header = TRY(vci::read_header(file)).raw;
  header.unclean = 1;
  TRY(vci::write_header(file, header));
  return file.sync();
}

Result<void> close_cache_image(File& file, CacheContents contents) {
  const Shape shape = vci::shape_of(contents.places.size / vci::kBlock);
  std::vector<CachedLine>& lines = contents.lines;
  std::ranges::sort(lines, {}, &CachedLine::guest);
  const std::vector<std::byte> tree = vci::encode_tree(shape, lines);
  const uint64_t nodes = tree.size() / vci::kNodeSize;
  const std::vector<std::byte> map = vci::encode_map(shape, nodes, lines);
  TRY(file.write(shape.root * vci::kBlock, tree));
  TRY(file.write(Shape::kMap * vci::kBlock, map));
  TRY(file.sync());
  Header header = header_of(shape);
  header.unclean = 0;
  header.uuid = contents.disk.uuid.bytes;
  header.modification_uuid = contents.disk.modification_uuid.bytes;
  header.digest = contents.disk.digest;
  header.disk_size = contents.disk.size;
  header.nodes = static_cast<uint32_t>(nodes);
  header.lines = lines.size();
  header.hits = contents.counts.hits;
  header.misses = contents.counts.misses;
  header.tree_checksum = crc32c(tree);
  header.map_checksum = crc32c(map);
  TRY(vci::write_header(file, header));
  return file.sync();
}

Result<void> check_cache_image(const File& file, CheckReport& report) {
  const CacheContents contents = TRY(read_cache_image(file));
  if (!contents.damage.empty()) {
    report.corruption(contents.damage);
    return {};
  }
  if (!contents.clean) report.messages.emplace_back("it was not closed: nothing in it counts");
  std::vector<std::byte> piece(kCachePiece);
  for (const CachedLine& line : contents.lines) {
    ++report.blocks;
    const uint64_t host = contents.places.first_slot + line.slot * kCacheLine;
    for (size_t i = 0; i < kPiecesOfALine; ++i) {
      if ((line.pieces >> i & 1) == 0) continue;
      const uint64_t guest = line.guest + i * kCachePiece;
      TRY(file.read_padded(host + i * kCachePiece, piece));
      if (cache_checksum(guest, piece) == line.checksums[i]) continue;
      report.corruption(fmt::format("what is kept of the disk at {} has a wrong checksum", guest));
    }
  }
  return {};
}

}  // namespace platter
