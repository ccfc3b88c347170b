#include "tests/support/toy_image.h"

#include <array>
#include <set>

#include <fmt/format.h>

namespace platter::test {
namespace {

constexpr uint32_t kZero = 0xffffffff;

struct Header {
  le64 magic = 0x796f7470;
  le64 size;
};
struct Count {
  std::array<std::byte, 1> value;
};

bool points(uint32_t pointer) { return pointer != 0 && pointer != kZero; }
uint64_t host_of(uint32_t pointer) {
  return ToyImage::kData + uint64_t{pointer - 1} * ToyImage::kBlock;
}

}  // namespace

Result<void> ToyImage::create(File& file, uint64_t size) {
  Header header;
  header.size = size;
  TRY(file.resize(kData));
  TRY(file.write(0, as_bytes_of(header)));
  return file.sync();
}

ToyImage::ToyImage(FilePtr file, uint64_t size, uint64_t end, Epochs& epochs, Flush how)
    : file_(std::move(file)),
      size_(size),
      info_{.format = "toy", .block_size = kBlock},
      counts_(file_, {kCounts, kMaxBlocks}, std::make_shared<PageCache>(64 * KiB)),
      map_(file_, {kMap, kMaxBlocks * 4}, std::make_shared<PageCache>(64 * KiB)),
      order_({file_}, file_, {&counts_, &map_}),
      how_(how),
      space_(end, kMaxBlocks, epochs) {}

Result<std::unique_ptr<ToyImage>> ToyImage::open(FilePtr file, Epochs& epochs, Flush how) {
  const auto header = TRY(file->read_struct<Header>(0));
  if (header.magic != Header{}.magic || header.size > kMaxBlocks * kBlock) {
    return Error(Errc::corrupt, "header");
  }
  std::array<std::byte, kMaxBlocks> counts{};
  TRY(file->read_padded(kCounts, counts));
  uint64_t end = 0;
  for (uint64_t i = 0; i < kMaxBlocks; ++i) {
    if (counts[i] != std::byte{0}) end = i + 1;
  }
  return std::unique_ptr<ToyImage>(new ToyImage(std::move(file), header.size, end, epochs, how));
}

Result<uint32_t> ToyImage::pointer(uint64_t block) const {
  return uint32_t{TRY(map_.read<le32>(kMap + block * 4))};
}

Result<void> ToyImage::point(uint64_t block, uint32_t value) {
  const uint32_t old = TRY(pointer(block));
  TRY(map_.store(kMap + block * 4, le32(value)));
  if (points(old)) space_.dropped(old - 1);
  return {};
}

Result<void> ToyImage::count(uint32_t pointer, uint8_t references) {
  return counts_.store(kCounts + pointer - 1, Count{{std::byte{references}}});
}

Result<Extent> ToyImage::map(const Range& want, SnapshotId /*snapshot*/) const {
  const uint64_t block = want.offset / kBlock;
  const uint32_t p = TRY(pointer(block));
  Extent e{.guest = {block * kBlock, kBlock}, .file = file_.get(), .in_place = points(p)};
  e.kind = p == 0 ? Extent::Kind::absent : p == kZero ? Extent::Kind::zero : Extent::Kind::data;
  if (points(p)) e.host = host_of(p);
  return e;
}

Result<Reservation> ToyImage::reserve(const Range& want) {
  const auto pointer = static_cast<uint32_t>(TRY(space_.take()) + 1);
  Result<void> counted = count(pointer, 1);
  if (!counted) return std::move(counted.error());
  return Reservation{.covers = {align_down(want.offset, kBlock), kBlock},
                     .file = file_.get(),
                     .host = host_of(pointer),
                     .cookie = pointer};
}

Result<void> ToyImage::publish(const Reservation& r) {
  return point(r.covers.offset / kBlock, static_cast<uint32_t>(r.cookie));
}

void ToyImage::abandon(const Reservation& r) noexcept { space_.give_back(r.cookie - 1); }

Result<Range> ToyImage::make_zero(const Range& want, File::Zero /*how*/) {
  const uint64_t block = want.offset / kBlock;
  const Range whole = intersect({block * kBlock, kBlock}, {0, size_});
  if (!want.contains(whole)) return Range{want.offset, 0};
  TRY(point(block, kZero));
  return whole;
}

// A flush without FlushOrder's mutex: right when alone.
Result<void> ToyImage::overlapping_flush() {
  const Table::Pages pointers = map_.take_dirty();
  const Table::Pages counts = counts_.take_dirty();
  TRY(counts_.write(counts));
  TRY(file_->sync());
  TRY(map_.write(pointers));
  TRY(file_->sync());
  map_.written(pointers);
  counts_.written(counts);
  return {};
}

Result<void> ToyImage::flush(bool /*wrote_data*/) {
  Space::Batch dropped = space_.take_dropped();
  Result<void> done = how_ == Flush::ordered ? order_.flush() : overlapping_flush();
  if (done) {
    space_.drop_is_durable(std::move(dropped));
  } else {
    space_.put_back(std::move(dropped));
  }
  return done;
}

std::optional<std::string> ToyImage::fault() const {
  std::set<uint32_t> seen;
  for (uint64_t block = 0; block * kBlock < size_; ++block) {
    const auto p = pointer(block);
    if (!p) return p.error().message();
    if (!points(*p)) continue;
    if (*p > kMaxBlocks) return fmt::format("block {} points outside", block);
    if (!seen.insert(*p).second) return fmt::format("block {} shares its host block", block);
    const auto references = counts_.read<Count>(kCounts + *p - 1);
    if (!references || references->value[0] == std::byte{0}) {
      return fmt::format("block {} points at a free host block", block);
    }
  }
  return std::nullopt;
}

}  // namespace platter::test
