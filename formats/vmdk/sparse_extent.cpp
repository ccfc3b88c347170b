// The look-up: an entry of the grain directory says where a grain table is, an entry of that where
// the grain is. Entries are looked at as long as they go on where the last one ended, in one page
// of the table, so that a read across grains is one extent.
#include "formats/vmdk/sparse_extent.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vmdk/sparse_check.h"
#include "formats/vmdk/sparse_compact.h"
#include "formats/vmdk/sparse_grow.h"
#include "lib/base/text.h"

namespace platter::vmdk {

SparseExtent::SparseExtent(Request request)
    : DiskExtent(request.size),
      file_(std::move(request.file)),
      header_(std::move(request.header)),
      layout_(header_.layout),
      codec_(layout_.markers),
      warnings_(header_.warnings),
      tables_(file_, layout_, request.tables),
      data_end_(header_.file_size),
      clean_(std::move(request.tables)),
      epochs_(request.epochs),
      child_(request.child) {
  if (epochs_ != nullptr && SparseExtent::expect_writable()) {
    changes_ =
        std::make_unique<SparseChanges>(file_, header_, clean_, tables_, data_end_, *epochs_);
  }
}

Result<std::unique_ptr<SparseExtent>> SparseExtent::open(Request request, bool search) {
  std::unique_ptr<SparseExtent> extent(new SparseExtent(std::move(request)));
  if (extent->header_.footer_missing) {
    std::string warning = "its footer is missing";
    if (search) {
      extent->found_ = TRY(StreamGrains::scan(*extent->file_, extent->layout_));
      warning += ": " + extent->found_->description();
    }
    extent->warnings_.push_back(std::move(warning));
  }
  return extent;
}

std::string SparseExtent::description() const {
  std::string text = fmt::format("grains of {}", human_size(layout_.grain));
  if (layout_.compressed) text += layout_.markers ? ", compressed" : ", compressed without markers";
  if (layout_.redundant != 0) text += ", redundant tables";
  if (layout_.zeroed_grains) text += ", zeroed grains";
  if (layout_.unclean) text += ", unclean";
  return text;
}

Result<SparseExtent::Run> SparseExtent::run_at(uint64_t grain, uint64_t limit) const {
  if (found_) {
    const StreamGrains::Run run = found_->run_at(grain, limit);
    return Run{.kind = run.host == 0 ? Kind::none : Kind::grain,
               .grains = run.grains,
               .host = run.host,
               .stored = run.stored};
  }
  if (header_.footer_missing) return Error(Errc::corrupt, "its footer is missing");
  const uint64_t index = grain / layout_.table_entries;
  const auto table = TRY(tables_.table(index, data_end_));
  if (table.offset == 0) {
    return Run{.grains = (index + table.missing) * layout_.table_entries - grain};
  }
  return run_in_table(table.offset, grain, limit);
}

Result<SparseExtent::Run> SparseExtent::run_in_table(uint64_t table, uint64_t grain,
                                                     uint64_t limit) const {
  const auto window = TRY(tables_.window(table, grain % layout_.table_entries));
  limit = std::min(limit, window.count);
  const uint32_t first = window.entry(0);
  switch (layout_.kind_of(first)) {
    case GrainLayout::Entry::invalid:
      return Error(Errc::corrupt,
                   fmt::format("grain {}: its entry points at metadata ({:#x})", grain, first));
    case GrainLayout::Entry::grain: break;
    case GrainLayout::Entry::none:
    case GrainLayout::Entry::zeroed: {
      Run run{.kind = first == kNoGrain ? Kind::none : Kind::zeroed};
      while (run.grains < limit && window.entry(run.grains) == first) ++run.grains;
      return run;
    }
  }
  const uint64_t host = first * kSector;
  if (host >= data_end_.load()) {
    // Power was lost before the grain was there: what a repair makes of it.
    if (layout_.unclean) return Run{};
    return Error(Errc::corrupt,
                 fmt::format("grain {}: its entry points past the end of the file", grain));
  }
  return layout_.compressed ? compressed_grain(window, host) : whole_grains(window, host, limit);
}

SparseExtent::Run SparseExtent::whole_grains(const GrainTables::Window& window, uint64_t host,
                                             uint64_t limit) const {
  Run run{.kind = Kind::grain, .host = host};
  const uint64_t end = data_end_.load();
  while (run.grains < limit) {
    const uint64_t next = host + run.grains * layout_.grain;
    if (window.entry(run.grains) * kSector != next || !fits(next, layout_.grain, end)) break;
    ++run.grains;
  }
  return run;
}

// Streams are written in the order of the disk: the next grain of the table begins where this one
// ends, or later.
SparseExtent::Run SparseExtent::compressed_grain(const GrainTables::Window& window,
                                                 uint64_t host) const {
  Run run{.kind = Kind::grain, .host = host, .stored = GrainCodec::max_stored(layout_.grain)};
  for (uint64_t i = 1; i < window.count; ++i) {
    const uint64_t next = window.entry(i) * kSector;
    if (layout_.kind_of(window.entry(i)) != GrainLayout::Entry::grain) continue;
    if (next > host) run.stored = std::min(run.stored, next - host);
    break;
  }
  return run;
}

Extent SparseExtent::of_run(const Run& run, uint64_t grain, uint64_t at) const {
  const uint64_t offset = grain * layout_.grain;
  const Range guest = intersect(
      {offset, std::min(run.grains, (size() - offset) / layout_.grain + 1) * layout_.grain},
      {0, size()});
  Extent extent{.guest = guest};
  if (run.kind == Kind::none) return extent;
  extent.kind = Extent::Kind::zero;
  if (run.kind == Kind::zeroed) return extent;
  extent.file = file_.get();
  extent.host = run.host;
  if (layout_.compressed) {
    extent.kind = Extent::Kind::encoded;
    extent.codec = &codec_;
    extent.stored = static_cast<uint32_t>(run.stored);
    extent.unit = {offset, layout_.grain};
    return extent;
  }
  extent.kind = Extent::Kind::data;
  extent.in_place = in_place();
  // The last grain of the file may be short; what it lacks was never written.
  const uint64_t stored = data_end_.load() - run.host;
  if (stored >= guest.length) return extent;
  if (at - offset < stored) {
    extent.guest.length = stored;
    return extent;
  }
  return Extent{.guest = {offset + stored, guest.length - stored}, .kind = Extent::Kind::zero};
}

Result<Extent> SparseExtent::map(const Range& want) const {
  const uint64_t grain = want.offset / layout_.grain;
  const uint64_t limit = (want.end() - 1) / layout_.grain - grain + 1;
  return of_run(TRY(run_at(grain, limit)), grain, want.offset);
}

Result<void> SparseExtent::expect_writable() const {
  const auto only_read = [](std::string why) {
    return Error(Errc::unsupported, std::move(why) + ": it is only read");
  };
  if (layout_.compressed) return only_read("the grains are compressed");
  if (header_.magic != kSparseMagic) return only_read("an extent of ESX");
  if (header_.version > 2) return only_read("a sparse extent of version 3");
  if ((header_.flags & ~kKnownFlags) != 0) {
    return only_read(fmt::format("unknown flags {:#x}", header_.flags & ~kKnownFlags));
  }
  if (layout_.table_bytes() < kSector) {
    return only_read(fmt::format("grain tables of {} entries", layout_.table_entries));
  }
  if (header_.descriptor && !intersect(*header_.descriptor, layout_.directory_range()).empty()) {
    return only_read("the descriptor lies over the grain directory");
  }
  if (layout_.redundant == 0 && (header_.flags & kFlagRedundant) != 0) {
    return only_read("its redundant directory is damaged");
  }
  return {};
}

Result<void> SparseExtent::begin_writing() {
  return changes_ ? changes_->begin() : DiskExtent::begin_writing();
}

Result<void> SparseExtent::flush(bool wrote_data) {
  return changes_ ? changes_->flush(wrote_data) : Result<void>();
}

Result<void> SparseExtent::grow(uint64_t to) {
  if (!changes_) return only_read();
  // Until all of it is done the tables may not be what the missing mark would say.
  changes_->keep_mark(true);
  TRY(changes_->mark());
  TRY(grow_sparse(*file_, header_, size(), to, child_));
  changes_->keep_mark(false);
  return {};
}

Result<std::unique_ptr<DiskExtent>> SparseExtent::reopened(uint64_t size) {
  // What changed it went past the tables in memory.
  clean_->forget(*file_);
  SparseHeader header = TRY(parse_sparse_header(*file_));
  if (size > header.layout.capacity) return Error(Errc::corrupt, "sparse header: its capacity");
  std::unique_ptr<DiskExtent> extent = TRY(open({.file = file_,
                                                 .header = std::move(header),
                                                 .size = size,
                                                 .tables = clean_,
                                                 .epochs = epochs_,
                                                 .child = child_},
                                                false));
  return extent;
}

Result<void> SparseExtent::compact(Progress& progress) {
  if (epochs_ == nullptr) return only_read();
  TRY(expect_writable());
  return compact_sparse(*file_, child_, progress);
}

Result<void> SparseExtent::check(Repair how, CheckReport& report) {
  if (how != Repair::none && epochs_ == nullptr) return only_read();
  return check_sparse(*file_, header_, how, report);
}

uint64_t SparseExtent::whole_grains(const Range& range) const {
  if (range.offset % layout_.grain != 0) return 0;
  // Behind the end there is nothing to keep.
  const uint64_t length =
      range.end() == size() ? align_up(range.length, layout_.grain) : range.length;
  return std::min(length / layout_.grain, SparseChanges::in_sector(range.offset / layout_.grain));
}

Result<Range> SparseExtent::make_zero(const Range& want, File::Zero how) {
  const Extent e = TRY(map(want)).clipped(want);
  if (e.kind == Extent::Kind::zero) return e.guest;
  const bool can_say = layout_.zeroed_grains, nothing_below = !child_;
  const uint64_t grains = whole_grains(e.guest);
  const uint64_t grain = want.offset / layout_.grain;
  const Range whole = intersect({want.offset, grains * layout_.grain}, e.guest);
  if (e.kind == Extent::Kind::absent) {
    if (can_say && grains != 0) {
      TRY(changes_->drop(grain, grains, kZeroedGrain, 0));
      return whole;
    }
    return nothing_below && !can_say ? e.guest : Range{want.offset, 0};
  }
  if (how == File::Zero::free_space && grains != 0 && (can_say || nothing_below)) {
    TRY(changes_->drop(grain, grains, can_say ? kZeroedGrain : kNoGrain, e.host));
    return whole;
  }
  const bool done = TRY(file_->make_zero({e.host, e.guest.length}, how));
  return Range{want.offset, done ? e.guest.length : 0};
}

}  // namespace platter::vmdk
