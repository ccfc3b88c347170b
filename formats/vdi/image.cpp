// The look-up: one entry of the block map says where a block is. Entries are looked at in the page
// of the map that has the first one, as long as they go on where the last one ended, so that a read
// across blocks, and a walk over a disk that is mostly free, is one extent.
#include "formats/vdi/vdi_image.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "formats/vdi/check.h"
#include "formats/vdi/compact.h"
#include "formats/vdi/metadata.h"
#include "formats/vdi/resize.h"

namespace platter::vdi {
namespace {

std::string_view variant_of(Type type) {
  switch (type) {
    case Type::dynamic: return "dynamic";
    case Type::fixed: return "static";
    case Type::undo: return "undo";
    case Type::differencing: return "differencing";
  }
  return "dynamic";
}

std::optional<Uuid> unless_nil(const Uuid& uuid) {
  return uuid.is_nil() ? std::nullopt : std::optional(uuid);
}

ImageInfo describe(const Parsed& header) {
  ImageInfo info{.format = "vdi",
                 .variant = std::string(variant_of(header.type)),
                 .block_size = header.block_size,
                 .uuid = unless_nil(header.uuid),
                 .modification_uuid = unless_nil(header.modification_uuid),
                 .lchs = header.lchs,
                 .comment = header.comment,
                 .warnings = header.warnings};
  if (!header.parent_uuid.is_nil()) {
    info.parent = ParentLink{.uuid = header.parent_uuid,
                             .modification_uuid = unless_nil(header.parent_modification_uuid)};
  }
  info.details = {{"version", fmt::format("{}.{}", header.major, header.minor)},
                  {"blocks", uint64_t{header.blocks}},
                  {"blocks_allocated", uint64_t{header.blocks_allocated}},
                  {"map_offset", header.map_offset},
                  {"data_offset", header.data_offset}};
  if (header.block_extra != 0) {
    info.details.emplace_back("block_extra", uint64_t{header.block_extra});
  }
  return info;
}

}  // namespace

VdiImage::VdiImage(FilePtr file, std::shared_ptr<PageCache> tables, Parsed header, bool writable)
    : file_(std::move(file)), tables_(std::move(tables)), writable_(writable) {
  take(std::move(header));
}

void VdiImage::take(Parsed header) {
  changes_.reset();
  header_ = std::move(header);
  info_ = describe(header_);
  block_bits_ = static_cast<unsigned>(std::countr_zero(header_.block_size));
  look_at_size(header_.file_size);
  map_.emplace(file_, Range{header_.map_offset, 4 * uint64_t{header_.blocks}}, tables_);
  if (writable_) changes_ = std::make_unique<Changes>(file_, header_, tables_, *map_);
}

void VdiImage::look_at_size(uint64_t file_size) {
  header_.file_size = file_size;
  const uint64_t data = file_size - std::min(file_size, header_.data_offset);
  // An entry of the map that is not the number of a block is none in the largest file either.
  whole_at_open_ = std::min<uint64_t>(data / header_.stride(), kZero);
}

Result<VdiImage::Run> VdiImage::run_at(uint64_t block, uint64_t last) const {
  const uint64_t at = header_.map_offset + 4 * block;
  const size_t in_page = at % PageCache::kPageSize;
  if (in_page > PageCache::kPageSize - 4) return Run{.entry = TRY(map_->read<le32>(at))};
  const PageCache::PagePtr page = TRY(map_->page(at));
  if (in_page + 4 > page->valid) {
    return Error(Errc::corrupt,
                 fmt::format("block map: entry {} is past the end of the file", block));
  }
  const Bytes entries = page->view().subspan(in_page);
  Run run{.entry = load<le32>(entries)};
  const uint64_t limit = std::min<uint64_t>(entries.size() / 4, last - block + 1);
  if (run.entry >= kZero) {
    while (run.blocks < limit && load<le32>(entries, 4 * run.blocks) == run.entry) ++run.blocks;
  } else if (header_.block_extra == 0) {
    const uint64_t whole = whole_blocks();
    while (run.blocks < limit && load<le32>(entries, 4 * run.blocks) == run.entry + run.blocks &&
           run.entry + run.blocks < whole) {
      ++run.blocks;
    }
  }
  return run;
}

// A block that is not whole in the file: the part it has is data, what is missing was never
// written.
Result<Extent> VdiImage::short_block(uint64_t block, uint32_t number, uint64_t at) const {
  const uint64_t host = header_.host_of(number);
  if (host >= header_.file_size) {
    return Error(Errc::corrupt, fmt::format("block {}: points past the end of the file", block));
  }
  const Range whole{block << block_bits_, header_.block_size};
  const uint64_t stored = header_.file_size - host;
  if (at - whole.offset >= stored) {
    return Extent{.guest = {whole.offset + stored, whole.length - stored},
                  .kind = Extent::Kind::zero};
  }
  return Extent{.guest = {whole.offset, stored},
                .kind = Extent::Kind::data,
                .file = file_.get(),
                .host = host};
}

Result<Extent> VdiImage::map(const Range& want, SnapshotId /*snapshot*/) const {
  const uint64_t block = want.offset >> block_bits_;
  const Run run = TRY(run_at(block, (want.end() - 1) >> block_bits_));
  Extent extent{.guest = {block << block_bits_, run.blocks << block_bits_}};
  if (run.entry == kZero) {
    extent.kind = Extent::Kind::zero;
  } else if (run.entry != kFree && run.entry >= whole_blocks()) {
    extent = TRY(short_block(block, run.entry, want.offset));
  } else if (run.entry != kFree) {
    extent.kind = Extent::Kind::data;
    extent.file = file_.get();
    extent.host = header_.host_of(run.entry);
    extent.in_place = changes_ != nullptr;
  }
  // The last block goes on behind the disk.
  return extent.clipped({0, header_.disk_size});
}

Result<void> VdiImage::begin_writing() {
  return changes_ ? changes_->begin() : Image::begin_writing();
}

Result<Reservation> VdiImage::reserve(const Range& want) { return changes_->reserve(want); }

Result<void> VdiImage::publish(const Reservation& r) { return changes_->publish(r); }

void VdiImage::abandon(const Reservation& r) noexcept { changes_->abandon(r); }

Result<Range> VdiImage::make_zero(const Range& want, File::Zero how) {
  const Extent e = TRY(map(want, 0)).clipped(want);
  if (e.kind == Extent::Kind::data) {
    const bool done = TRY(file_->make_zero({e.host, e.guest.length}, how));
    return Range{want.offset, done ? e.guest.length : 0};
  }
  if (e.kind == Extent::Kind::zero) return e.guest;
  const uint64_t block = want.offset >> block_bits_;
  const Range whole = intersect({block << block_bits_, header_.block_size}, {0, header_.disk_size});
  if (!want.contains(whole)) return Range{want.offset, 0};
  TRY(changes_->point_at_zero(block));
  return whole;
}

Result<void> VdiImage::check(Repair how, CheckReport& report) {
  report_faults(header_, TRY(scan_map(*file_, header_)), report);
  if (how == Repair::none) return {};
  TRY(expect_writable());
  return repair(*file_, header_, how, report);
}

Result<void> VdiImage::resize(uint64_t size) {
  TRY(expect_writable());
  // What was written since it was opened has changed the header.
  Result<void> done = vdi::resize(*file_, TRY(parse(*file_)), size);
  // It went past the tables in memory.
  tables_->forget(*file_);
  Result<Parsed> now = parse(*file_);
  if (now) {
    take(*std::move(now));
    return done;
  }
  // Whatever the header says by now: the old map is where it was, and tells where the blocks are.
  // What is new is not known, so nothing more may be written.
  changes_.reset();
  const Result<FileStat> st = file_->stat();
  if (st) look_at_size(st->size);
  return done ? std::move(now.error()) : std::move(done.error());
}

Result<void> VdiImage::set_metadata(const Metadata& values) {
  TRY(expect_writable());
  return vdi::set_metadata(*file_, header_, values);
}

Result<void> VdiImage::set_parent(const ParentLink& parent) {
  TRY(expect_writable());
  return vdi::set_parent(*file_, header_, parent);
}

Result<void> VdiImage::drop_parent() {
  TRY(expect_writable());
  if (!info_.parent) return Image::drop_parent();
  return vdi::drop_parent(*file_);
}

Result<void> VdiImage::compact(Progress& progress) {
  TRY(expect_writable());
  return vdi::compact(*file_, progress);
}

Result<void> VdiImage::expect_writable() {
  return changes_ ? Result<void>() : Image::begin_writing();
}

Result<void> VdiImage::flush(bool wrote_data) {
  return changes_ ? changes_->flush(wrote_data) : Result<void>();
}

}  // namespace platter::vdi
