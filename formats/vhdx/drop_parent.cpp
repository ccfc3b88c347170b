// A disk without a parent has no partial blocks: the sectors that were the parent's become zeroes
// in the file, which nobody sees yet, and durable; then one change of the journal makes all blocks
// whole, gives up the bitmaps and the locator, and says that there is no parent.
#include "formats/vhdx/drop_parent.h"

#include <algorithm>
#include <optional>
#include <span>

#include "formats/vhdx/block_scan.h"
#include "formats/vhdx/fill.h"
#include "formats/vhdx/journal.h"
#include "formats/vhdx/parse.h"
#include "lib/base/checked.h"

namespace platter::vhdx {
namespace {

constexpr uint64_t kEntriesRead = 8 * KiB;
// Beside pages of the BAT one change has those of the metadata's table and items.
constexpr size_t kPagesOfTheBat = Journal::kMostPages - 20;

class Dropper {
 public:
  Dropper(const FilePtr& file, const Parsed& parsed)
      : file_(file), p_(parsed), shape_(parsed.shape()), journal_(file, parsed.headers) {
    patch_.emplace(*file);
  }

  Result<void> run() {
    const BlockScan scan = TRY(scan_blocks(*file_, p_));
    TRY(scan.expect_sound());
    file_size_ = scan.file_size;
    TRY(make_blocks_whole());
    TRY(forget_locator());
    TRY(clear_flag());
    Header header = journal_.header();
    header.file_write = Uuid::random();
    return commit(header);
  }

 private:
  uint64_t entry_at(uint64_t index) const { return p_.regions.bat.offset + 8 * index; }

  // What was written before is durable, too.
  Result<void> commit(const std::optional<Header>& with) {
    TRY(file_->sync());
    TRY(journal_.commit(patch_->pages(), file_size_, with));
    TRY(file_->sync());
    patch_.emplace(*file_);
    return {};
  }

  // Entries of bitmaps come behind those of their blocks, so that what goes ahead is sound.
  Result<void> put_entry(uint64_t index, uint64_t entry) {
    if (patch_->size() >= kPagesOfTheBat) TRY(commit({}));
    return patch_->put(entry_at(index), as_bytes_of(le64(entry)));
  }

  Result<void> make_blocks_whole() {
    std::vector<le64> piece;
    for (uint64_t first = 0; first < shape_.entries(); first += piece.size()) {
      piece.resize(std::min(kEntriesRead, shape_.entries() - first));
      TRY(file_->read_exact(entry_at(first), std::as_writable_bytes(std::span(piece))));
      for (size_t i = 0; i < piece.size(); ++i) TRY(look_at(first + i, piece[i]));
    }
    return {};
  }

  Result<void> look_at(uint64_t index, uint64_t entry) {
    if (shape_.is_bitmap(index)) return entry == 0 ? Result<void>() : put_entry(index, 0);
    const uint64_t block = shape_.block_of(index);
    if (block >= shape_.blocks() || state_of(entry) != State::partially_present) return {};
    TRY(zero_missing_sectors(block, place_of(entry)));
    return put_entry(index, entry_of(State::fully_present, place_of(entry)));
  }

  Result<void> zero_missing_sectors(uint64_t block, uint64_t place) {
    const uint64_t bitmap = shape_.bitmap_index_of(block / shape_.chunk_ratio());
    const uint64_t at = place_of(TRY(file_->read_struct<le64>(entry_at(bitmap))));
    std::vector<std::byte> bits(shape_.bitmap_bytes_of_block());
    TRY(file_->read_exact(at + shape_.bitmap_at(block), bits));
    const auto is_set = [&](uint64_t i) {
      return (std::to_integer<unsigned>(bits[i / 8]) >> (i % 8) & 1) != 0;
    };
    for (uint64_t i = 0; i < shape_.sectors_in_block();) {
      const uint64_t first = i;
      while (i < shape_.sectors_in_block() && !is_set(i)) ++i;
      const Range missing{first * shape_.sector_size, (i - first) * shape_.sector_size};
      TRY(zero_range(*file_, {place + missing.offset, missing.length}));
      while (i < shape_.sectors_in_block() && is_set(i)) ++i;
    }
    return {};
  }

  // The last item takes its place in the table.
  Result<void> forget_locator() {
    const Range& region = p_.regions.metadata;
    const auto& table = p_.items.table;
    const auto n = static_cast<size_t>(p_.items.find(guid::kParentLocator) - table.data());
    const size_t last = table.size() - 1;
    TRY(patch_->put(entry_place(region, n), as_bytes_of(table[last].entry)));
    TRY(patch_->put(entry_place(region, last), as_bytes_of(MetadataEntry())));
    const le16 count(static_cast<uint16_t>(last));
    return patch_->put(region.offset + offsetof(MetadataTableHeader, count), as_bytes_of(count));
  }

  Result<void> clear_flag() {
    const uint64_t at = p_.items.find(guid::kFileParameters)->place.offset;
    auto parameters = TRY(file_->read_struct<FileParameters>(at));
    parameters.flags = parameters.flags & ~kHasParent;
    return patch_->put(at, as_bytes_of(parameters));
  }

  const FilePtr file_;
  const Parsed& p_;
  const Shape shape_;
  Journal journal_;
  std::optional<PagePatch> patch_;
  uint64_t file_size_ = 0;
};

}  // namespace

Result<void> drop_parent(const FilePtr& file) {
  const Parsed parsed = TRY(parse_for_change(*file));
  if (!parsed.items.locator) return Error(Errc::unsupported, "has no parent to drop");
  return Dropper(file, parsed).run();
}

}  // namespace platter::vhdx
