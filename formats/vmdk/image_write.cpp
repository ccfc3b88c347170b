// The writing half of VmdkImage: each part looks after its own file; what they share is the
// descriptor, which gets a new CID before the first change of a session, so that a child made
// before it is not shown over other contents.
#include <algorithm>

#include <fmt/format.h>

#include "formats/vmdk/describe.h"
#include "formats/vmdk/metadata.h"
#include "formats/vmdk/new_descriptor.h"
#include "formats/vmdk/vmdk_image.h"

namespace platter::vmdk {
namespace {

Range moved_down(Range range, uint64_t by) { return {range.offset - by, range.length}; }
Range moved_up(Range range, uint64_t by) { return {range.offset + by, range.length}; }

Reservation moved_down(Reservation r, uint64_t by) {
  r.covers.offset -= by;
  return r;
}

// Blocks of the disk have to be grains, or whole numbers of them, of every part.
Result<void> expect_aligned(const Opened& opened) {
  uint64_t block = 1;
  for (const Part& part : opened.parts) block = std::max(block, part.extent->grain_size());
  for (size_t i = 0; i + 1 < opened.parts.size(); ++i) {
    if (opened.parts[i].guest.end() % block == 0) continue;
    return Error(Errc::unsupported,
                 fmt::format("{} does not end with a grain: the disk is only read",
                             name_of(*opened.descriptor, i)));
  }
  return {};
}

// The progress of one extent of several, all of which count the same.
class ShareOfProgress final : public Progress {
 public:
  ShareOfProgress(Progress& whole, size_t index, size_t count)
      : whole_(whole), index_(index), count_(count) {}

  void advance(uint64_t done, uint64_t total) override {
    whole_.advance(index_ * total + done, count_ * total);
  }
  bool cancelled() const override { return whole_.cancelled(); }

 private:
  Progress& whole_;
  const size_t index_, count_;
};

// Several sparse extents in one file would write over one another.
Result<void> expect_files_of_their_own(const Opened& opened) {
  std::vector<const File*> seen;
  for (size_t i = 0; i < opened.parts.size(); ++i) {
    const DiskExtent& extent = *opened.parts[i].extent;
    if (extent.grain_size() != 0) seen.push_back(extent.file().get());
  }
  std::sort(seen.begin(), seen.end());
  if (std::adjacent_find(seen.begin(), seen.end()) == seen.end()) return {};
  return Error(Errc::corrupt, "descriptor: two sparse extents are in one file");
}

}  // namespace

Result<void> expect_writable(const Opened& opened) {
  if (!opened.descriptor) return Error(Errc::read_only, "it has no descriptor: it is only read");
  for (size_t i = 0; i < opened.parts.size(); ++i) {
    TRY_IN(name_of(*opened.descriptor, i), opened.parts[i].extent->expect_writable());
    if (opened.descriptor->extents()[i].access != ExtentLine::Access::read_write) {
      return Error(Errc::read_only, name_of(*opened.descriptor, i) + " is only to be read");
    }
  }
  TRY(expect_aligned(opened));
  return expect_files_of_their_own(opened);
}

Result<void> VmdkImage::expect_open_for_writing() const {
  if (!writable_) return Error(Errc::read_only, "was opened for reading");
  if (in_doubt_) return Error(Errc::io, "what an earlier change left is not known");
  return {};
}

Result<Descriptor> VmdkImage::read_descriptor() const {
  if (!opened_.store) return Error(Errc::unsupported, "it has no descriptor");
  const std::string text = TRY(opened_.store->read());
  return Descriptor::parse(text);
}

Result<void> VmdkImage::new_content_id() {
  Descriptor descriptor = TRY(read_descriptor());
  descriptor.set("CID", random_content_id());
  if (descriptor.value(kModificationKey)) {
    descriptor.set(kModificationKey, Uuid::random().to_string());
  }
  // VMware's list of changed blocks would not know of ours: backups would lack them.
  descriptor.remove("changeTrackPath");
  return opened_.store->replace(descriptor.text(), DescriptorStore::Torn::harmless);
}

Result<void> VmdkImage::begin_writing() {
  TRY(expect_open_for_writing());
  const MutexLock once(begin_);
  if (begun_) return {};
  begin_failed_ = true;
  for (size_t i = 0; i < opened_.parts.size(); ++i) {
    Result<void> done = opened_.parts[i].extent->begin_writing();
    if (!done) return in_extent(i, std::move(done.error()));
  }
  TRY(new_content_id());
  begin_failed_ = false;
  begun_ = true;
  return {};
}

Result<Reservation> VmdkImage::reserve(const Range& want) {
  const size_t index = part_at(want.offset);
  const auto& [guest, extent] = opened_.parts[index];
  Result<Reservation> found = extent->reserve(moved_down(intersect(want, guest), guest.offset));
  if (!found) return in_extent(index, std::move(found.error()));
  found->covers = moved_up(found->covers, guest.offset);
  return found;
}

Result<void> VmdkImage::publish(const Reservation& r) {
  const auto& [guest, extent] = opened_.parts[part_at(r.covers.offset)];
  return extent->publish(moved_down(r, guest.offset));
}

void VmdkImage::abandon(const Reservation& r) noexcept {
  const auto& [guest, extent] = opened_.parts[part_at(r.covers.offset)];
  extent->abandon(moved_down(r, guest.offset));
}

Result<Range> VmdkImage::make_zero(const Range& want, File::Zero how) {
  const size_t index = part_at(want.offset);
  const auto& [guest, extent] = opened_.parts[index];
  Result<Range> done = extent->make_zero(moved_down(intersect(want, guest), guest.offset), how);
  if (!done) return in_extent(index, std::move(done.error()));
  return moved_up(*done, guest.offset);
}

Result<void> VmdkImage::flush(bool wrote_data) {
  if (in_doubt_) return expect_open_for_writing();
  // What begin_writing() could not make durable, no flush may call so.
  const bool all = wrote_data || begin_failed_;
  for (const Part& part : opened_.parts) TRY(part.extent->flush(all));
  return begin_failed_ ? file_->sync() : Result<void>();
}

bool VmdkImage::wants_flush() const {
  return std::ranges::any_of(opened_.parts,
                             [](const Part& part) { return part.extent->wants_flush(); });
}

Result<void> VmdkImage::take_anew() {
  Descriptor descriptor = TRY(read_descriptor());
  opened_.parts[0].extent->close();
  auto extent = TRY(opened_.parts[0].extent->reopened(descriptor.disk_size()));
  opened_.parts[0] = {{0, descriptor.disk_size()}, std::move(extent)};
  opened_.descriptor = std::move(descriptor);
  size_ = opened_.descriptor->disk_size();
  info_ = describe(opened_);
  const MutexLock lock(begin_);
  begun_ = false;
  return {};
}

Result<void> VmdkImage::resize(uint64_t size) {
  TRY(expect_open_for_writing());
  if (opened_.parts.size() != 1) {
    return Error(Errc::unsupported, "a disk of several extents cannot be resized: convert it");
  }
  if (size < size_) {
    return Error(Errc::unsupported,
                 fmt::format("a VMDK can only grow: it has {} bytes already", size_));
  }
  if (size > kMaxOffset - kSector) {
    return Error(Errc::invalid, fmt::format("a VMDK of {} bytes is not possible", size));
  }
  const uint64_t rounded = align_up(size, kSector);
  // An earlier resize to this size need not be durable yet.
  if (rounded == size_) {
    for (const FilePtr& file : files()) TRY(file->sync());
    return {};
  }
  Result<void> done = opened_.parts[0].extent->grow(rounded);
  if (done) done = grow_descriptor(rounded);
  Result<void> now = take_anew();
  if (now) return done;
  // The old extent is as good as it was for reading. What is new is not known.
  in_doubt_ = true;
  return done ? std::move(now) : std::move(done);
}

Result<void> VmdkImage::grow_descriptor(uint64_t size) {
  Descriptor descriptor = TRY(read_descriptor());
  descriptor.set_sectors(0, size / kSector);
  if (descriptor.value("ddb.geometry.cylinders")) {
    const Geometry geometry =
        geometry_of(size, descriptor.value("ddb.adapterType").value_or("ide"));
    const auto old = descriptor.geometry("cylinders", "heads", "sectors");
    // Guests keep to the heads and sectors they know.
    const uint64_t track = old ? uint64_t{old->heads} * old->sectors : 0;
    const uint64_t cylinders = track == 0 ? geometry.cylinders : size / (track * kSector);
    const uint64_t most = track == 16 * 63 ? 16383 : 0xffffffff;
    descriptor.set("ddb.geometry.cylinders",
                   std::to_string(std::clamp<uint64_t>(cylinders, 1, most)));
  }
  return opened_.store->replace(descriptor.text());
}

Result<void> VmdkImage::check(Repair how, CheckReport& report) {
  if (opened_.missing) return *opened_.missing;
  if (how != Repair::none) TRY(expect_open_for_writing());
  for (size_t i = 0; i < opened_.parts.size(); ++i) {
    CheckReport part;
    Result<void> done = opened_.parts[i].extent->check(how, part);
    if (!done) return in_extent(i, std::move(done.error()));
    const std::string name =
        opened_.parts.size() == 1 ? "" : name_of(*opened_.descriptor, i) + ": ";
    report.corruptions += part.corruptions;
    report.leaks += part.leaks;
    report.repaired += part.repaired;
    report.blocks += part.blocks;
    for (const std::string& message : part.messages) {
      if (report.messages.size() < CheckReport::kMaxMessages)
        report.messages.push_back(name + message);
    }
  }
  return {};
}

Result<void> VmdkImage::compact(Progress& progress) {
  if (opened_.missing) return *opened_.missing;
  TRY(expect_open_for_writing());
  TRY(expect_writable(opened_));
  std::vector<size_t> sparse;
  for (size_t i = 0; i < opened_.parts.size(); ++i) {
    if (opened_.parts[i].extent->grain_size() != 0) sparse.push_back(i);
  }
  if (sparse.empty()) {
    return Error(Errc::unsupported,
                 "a flat VMDK keeps a place for every byte: there is nothing to give back");
  }
  for (size_t done = 0; done < sparse.size(); ++done) {
    ShareOfProgress share(progress, done, sparse.size());
    Result<void> compacted = opened_.parts[sparse[done]].extent->compact(share);
    if (!compacted) return in_extent(sparse[done], std::move(compacted.error()));
  }
  return {};
}

Result<void> VmdkImage::set_metadata(const Metadata& values) {
  TRY(expect_open_for_writing());
  Descriptor descriptor = TRY(read_descriptor());
  TRY(change_metadata(descriptor, values));
  return opened_.store->replace(descriptor.text());
}

Result<void> VmdkImage::set_parent(const ParentLink& parent) {
  TRY(expect_open_for_writing());
  Descriptor descriptor = TRY(read_descriptor());
  TRY(change_parent(descriptor, parent));
  return opened_.store->replace(descriptor.text());
}

Result<void> VmdkImage::drop_parent() {
  TRY(expect_open_for_writing());
  Descriptor descriptor = TRY(read_descriptor());
  TRY(remove_parent(descriptor));
  return opened_.store->replace(descriptor.text());
}

}  // namespace platter::vmdk
