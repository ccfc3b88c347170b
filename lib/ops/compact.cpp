#include "lib/ops/compact.h"

#include <algorithm>

#include <fmt/format.h>

#include "lib/container/container.h"
#include "lib/ops/give_up_zeroes.h"

namespace platter {
namespace {

// A part of a longer way.
class Leg final : public Progress {
 public:
  // from, length, whole: bytes; all of this leg is so long, whatever its own total is.
  Leg(Progress& progress, uint64_t from, uint64_t length, uint64_t whole)
      : progress_(progress), from_(from), length_(length), whole_(whole) {}

  void advance(uint64_t done, uint64_t total) override {
    const double share = total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
    const auto walked = static_cast<uint64_t>(static_cast<double>(length_) * share);
    progress_.advance(from_ + std::min(walked, length_), whole_);
  }
  bool cancelled() const override { return progress_.cancelled(); }

 private:
  Progress& progress_;
  const uint64_t from_, length_, whole_;
};

// For who only asks whether something can be done.
class NotNow final : public Progress {
 public:
  void advance(uint64_t /*done*/, uint64_t /*total*/) override {}
  bool cancelled() const override { return true; }
};

Result<FileBytes> bytes_of(const Image& image) {
  FileBytes sum;
  for (const FilePtr& file : image.files()) {
    const FileStat st = TRY(file->stat());
    sum.size += st.size;
    sum.allocated += st.allocated;
  }
  return sum;
}

// whole: false: only the image itself is needed, and nothing of its disk.
Result<std::unique_ptr<Container>> open_to_compact(const CompactArgs& args, bool whole,
                                                   KeySource* keys) {
  return Container::open(args.path, {.format = args.format,
                                     .references = args.references,
                                     .parents = whole,
                                     .access = Access::write,
                                     .lock = true,
                                     .writer = {.flush_every_ms = 0},
                                     .keys = keys});
}

struct Found {
  FileBytes bytes;
  uint64_t disk = 0;  // bytes
  // By another one the image's children would know that the disk has changed, which it does not:
  // such formats look for zeroes themselves.
  bool keeps_ids = false;
};

// What there is to be done, if it can be; nothing changes.
Result<Found> look_at_image(const CompactArgs& args) {
  auto container = TRY(open_to_compact(args, false, nullptr));
  const Format& format = *container->chain().front().format;
  if (!format.can_compact()) {
    return Error(Errc::unsupported,
                 fmt::format("{}: {} images cannot be compacted", args.path, format.name()));
  }
  // What moves may have to be encrypted anew.
  if (container->info().encrypted && args.keys != nullptr) {
    container.reset();
    container = TRY(open_to_compact(args, false, args.keys));
  }
  const ChainLayer& top = container->chain().front();
  NotNow not_now;
  Result<void> possible = top.image->compact(not_now);
  if (!possible && possible.error().code() != Errc::cancelled) {
    return std::move(possible.error()).within(args.path);
  }
  const ImageInfo& info = top.image->info();
  return Found{.bytes = TRY(bytes_of(*top.image)),
               .disk = top.image->size(),
               .keeps_ids = info.modification_uuid || !info.content_id.empty()};
}

}  // namespace

Result<CompactReport> compact_image(const CompactArgs& args, Progress& progress) {
  const Found found = TRY(look_at_image(args));
  const uint64_t first = found.keeps_ids ? 0 : found.disk;
  const uint64_t whole = first + found.bytes.size;
  if (!found.keeps_ids) {
    const auto container = TRY(open_to_compact(args, true, args.keys));
    Leg leg(progress, 0, first, whole);
    Image& top = *container->chain().front().image;
    TRY_IN(args.path, give_up_zeroes(container->layout(), top, args.threads, leg));
  }
  const auto container = TRY(open_to_compact(args, false, args.keys));
  const Image& image = *container->chain().front().image;
  Leg leg(progress, first, found.bytes.size, whole);
  TRY_IN(args.path, container->chain().front().image->compact(leg));
  progress.advance(whole, whole);
  return CompactReport{.before = found.bytes, .after = TRY(bytes_of(image))};
}

}  // namespace platter
