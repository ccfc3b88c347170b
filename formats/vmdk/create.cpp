#include "formats/vmdk/create.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "formats/vmdk/descriptor.h"
#include "formats/vmdk/extent_writer.h"
#include "formats/vmdk/new_descriptor.h"
#include "formats/vmdk/stream_writer.h"
#include "lib/base/text.h"

namespace platter::vmdk {
namespace {

constexpr uint64_t kMinNewGrain = 4 * KiB, kMaxNewGrain = 64 * MiB;
// VMware's own limit of the extents of a split disk.
constexpr uint64_t kMaxExtent = 2047 * MiB;
constexpr uint64_t kEmbeddedRoom = 20 * kSector;
constexpr std::string_view kStream = "streamOptimized";

// What is to be made.
struct Plan {
  NewDescriptor descriptor;
  std::string type;          // of its extents
  std::string stem;          // what their files are called after
  uint64_t size = 0;         // of the disk, bytes, whole sectors
  uint64_t extent_size = 0;  // bytes; all but the last extent have as many
  uint64_t grain = 0;        // bytes; 0: flat
  bool zeroed = false;
  bool split = false;
  bool stream = false;  // its grains are compressed

  bool embedded() const { return grain != 0 && !split; }
};

Error invalid(std::string text) { return {Errc::invalid, std::move(text)}; }

std::string option(const CreateRequest& request, std::string_view name, std::string_view fallback) {
  const auto given = request.options.find(name);
  return given == request.options.end() ? std::string(fallback) : given->second;
}

Result<void> take_type(const CreateRequest& request, Plan& plan) {
  const std::string type =
      option(request, "create_type", request.compress ? kStream : kCreatable[0].name);
  if (std::ranges::find(kCreatable, type, &CreatableVariant::name) == kCreatable.end()) {
    return invalid(fmt::format("create_type={}: no type of a VMDK that can be made", type));
  }
  plan.stream = type == kStream;
  if (request.compress && !plan.stream) {
    return invalid(fmt::format("subformat={}: only {} is compressed", type, kStream));
  }
  plan.descriptor.create_type = type;
  plan.split = type.starts_with("twoGbMaxExtent");
  plan.type = type == "vmfs" ? "VMFS" : type.ends_with("Flat") ? "FLAT" : "SPARSE";
  return {};
}

Result<void> take_grains(const CreateRequest& request, Plan& plan) {
  const std::string zeroed = option(request, "zeroed_grain", "off");
  if (zeroed != "on" && zeroed != "off") {
    return invalid(fmt::format("zeroed_grain={}: must be on or off", zeroed));
  }
  const std::string text = option(request, "grain_size", "64k");
  const auto grain = parse_size(text);
  if (!grain || !std::has_single_bit(*grain) || *grain < kMinNewGrain || *grain > kMaxNewGrain) {
    return invalid(fmt::format("grain_size={}: must be a power of two from {} to {}", text,
                               human_size(kMinNewGrain), human_size(kMaxNewGrain)));
  }
  if (plan.type != "SPARSE") return {};
  if (plan.stream && *grain > kMaxStreamGrain) {
    return invalid(fmt::format("grain_size={}: a compressed grain has at most {}", text,
                               human_size(kMaxStreamGrain)));
  }
  plan.zeroed = zeroed == "on";
  plan.grain = *grain;
  return {};
}

Result<void> take_sizes(const CreateRequest& request, Plan& plan) {
  if (request.size == 0) return invalid("a VMDK of 0 bytes: it has to hold something");
  if (request.size > kMaxOffset - kSector) {
    return invalid(fmt::format("a VMDK of {}: too large", human_size(request.size)));
  }
  plan.size = align_up(request.size, kSector);
  plan.extent_size = plan.size;
  const std::string text = option(request, "extent_size", "2047M");
  const auto most = parse_size(text);
  const bool counts = plan.split || request.options.contains("extent_size");
  const uint64_t unit = counts ? std::max(plan.grain, kSector) : kSector;
  if (!most || *most < unit || *most > kMaxExtent || *most % unit != 0) {
    return invalid(fmt::format("extent_size={}: must be a multiple of {}, at most {}", text,
                               human_size(unit), human_size(kMaxExtent)));
  }
  if (!plan.split) return {};
  plan.extent_size = *most;
  if (div_up(plan.size, *most) <= Descriptor::kMaxExtents) return {};
  return invalid(fmt::format("a VMDK of {} in extents of {}: it would have more than {}",
                             human_size(plan.size), human_size(*most),
                             size_t{Descriptor::kMaxExtents}));
}

Result<void> take_machine(const CreateRequest& request, Plan& plan) {
  NewDescriptor& d = plan.descriptor;
  d.adapter_type = option(request, "adapter_type", plan.type == "VMFS" ? "lsilogic" : "ide");
  constexpr std::array kAdapters = {"ide", "lsilogic", "buslogic", "legacyESX", "pvscsi"};
  if (std::ranges::find(kAdapters, d.adapter_type) == kAdapters.end()) {
    return invalid(fmt::format("adapter_type={}: must be one of {}", d.adapter_type,
                               fmt::join(kAdapters, ", ")));
  }
  d.hardware_version = option(request, "hwversion", "4");
  d.tools_version = option(request, "toolsversion", "2147483647");
  for (const std::string& number : {d.hardware_version, d.tools_version}) {
    if (number.empty() || number.size() > 10 ||
        number.find_first_not_of("0123456789") != std::string::npos) {
      return invalid(fmt::format("{}: must be a version, a number", number));
    }
  }
  return {};
}

Result<void> take_parent(const CreateRequest& request, Plan& plan) {
  if (!request.parent) return {};
  if (plan.type != "SPARSE") {
    return invalid(
        fmt::format("subformat={}: a child has to be sparse", plan.descriptor.create_type));
  }
  if (!request.parent->format.empty() && request.parent->format != "vmdk") {
    return invalid(
        fmt::format("the parent is {}: a VMDK can only have another VMDK", request.parent->format));
  }
  if (request.parent->content_id.empty()) {
    return invalid("the parent has no CID, by which a VMDK knows it again");
  }
  if (!fits_in_quotes(request.parent->reference)) {
    return invalid("the parent's name has a quote or a line end in it");
  }
  plan.descriptor.parent = request.parent;
  return {};
}

Result<void> take_name(const CreateRequest& request, Plan& plan) {
  plan.stem = request.name.empty() ? "disk" : request.name;
  if (!fits_in_quotes(plan.stem)) return invalid("its name has a quote or a line end in it");
  if (plan.stem.size() > 5 && lower_case(plan.stem).ends_with(".vmdk")) {
    plan.stem.resize(plan.stem.size() - 5);
  }
  return {};
}

// Hands out what is written to the extents, of which each is begun when the disk gets there.
class VmdkWriter final : public ImageWriter {
 public:
  VmdkWriter(FilePtr file, NewParts* parts, Plan plan)
      : file_(std::move(file)), parts_(parts), plan_(std::move(plan)) {}

  // Begins the extents in front of this one, and it.
  Result<void> begin(uint64_t index);

  uint64_t block_size() const override { return plan_.grain == 0 ? 64 * KiB : plan_.grain; }
  Result<void> write(uint64_t offset, Bytes data) override;
  Result<void> zero(const Range& range) override;
  Result<void> finish() override;

 private:
  uint64_t count() const { return div_up(plan_.size, plan_.extent_size); }
  Range extent(uint64_t index) const {
    return intersect({index * plan_.extent_size, plan_.extent_size}, {0, plan_.size});
  }
  std::string file_name(uint64_t index) const;
  Result<std::unique_ptr<ExtentWriter>> make(uint64_t index);
  bool is_next(const Range& range) const;

  const FilePtr file_;
  NewParts* const parts_;
  Plan plan_;
  uint64_t next_ = 0;  // nothing behind it is written, bytes
  std::vector<std::unique_ptr<ExtentWriter>> extents_;
};

std::string VmdkWriter::file_name(uint64_t index) const {
  if (plan_.embedded()) return plan_.stem + ".vmdk";
  if (!plan_.split) return plan_.stem + "-flat.vmdk";
  return fmt::format("{}-{}{:03}.vmdk", plan_.stem, plan_.grain == 0 ? 'f' : 's', index + 1);
}

Result<std::unique_ptr<ExtentWriter>> VmdkWriter::make(uint64_t index) {
  FilePtr file = file_;
  if (!plan_.embedded()) {
    if (parts_ == nullptr) {
      return invalid(fmt::format("subformat={}: it has to be a single file here",
                                 plan_.descriptor.create_type));
    }
    file = TRY(parts_->make(file_name(index)));
  }
  const uint64_t size = extent(index).length;
  if (plan_.grain == 0) return flat_writer(std::move(file), size);
  const NewSparse sparse{.size = size,
                         .grain = plan_.grain,
                         .zeroed = plan_.zeroed,
                         .child = plan_.descriptor.parent.has_value(),
                         .embedded = plan_.embedded()};
  return sparse_writer(std::move(file), sparse, TRY(plan_sparse(sparse)));
}

Result<void> VmdkWriter::begin(uint64_t index) {
  while (extents_.size() <= index) extents_.push_back(TRY(make(extents_.size())));
  return {};
}

// Whole blocks behind all others, but for the one in which the disk ends.
bool VmdkWriter::is_next(const Range& range) const {
  return range.offset % block_size() == 0 && range.offset >= next_ &&
         fits(range.offset, range.length, plan_.size) &&
         (range.length % block_size() == 0 || range.end() > plan_.size - kSector);
}

Result<void> VmdkWriter::write(uint64_t offset, Bytes data) {
  if (!is_next({offset, data.size()})) {
    return Error(Errc::out_of_range,
                 fmt::format("{} bytes at {} are not the next whole blocks", data.size(), offset));
  }
  next_ = offset + data.size();
  while (!data.empty()) {
    const uint64_t index = offset / plan_.extent_size;
    TRY(begin(index));
    const Range part = intersect({offset, data.size()}, extent(index));
    TRY(extents_[index]->write(offset - extent(index).offset, data.first(part.length)));
    offset += part.length;
    data = data.subspan(part.length);
  }
  return {};
}

Result<void> VmdkWriter::zero(const Range& range) {
  if (!is_next(range)) {
    return Error(Errc::out_of_range, fmt::format("{} zeroes at {} are not the next whole blocks",
                                                 range.length, range.offset));
  }
  for (uint64_t at = range.offset; at < range.end();) {
    const uint64_t index = at / plan_.extent_size;
    TRY(begin(index));
    const Range part = intersect({at, range.end() - at}, extent(index));
    const bool done = TRY(extents_[index]->zero({at - extent(index).offset, part.length}));
    if (!done) TRY(ImageWriter::zero(part));
    at = part.end();
  }
  next_ = range.end();
  return {};
}

Result<void> VmdkWriter::finish() {
  TRY(begin(count() - 1));
  for (uint64_t i = 0; i < count(); ++i) {
    plan_.descriptor.extents.push_back(
        extent_line(extent(i).length / kSector, plan_.type, file_name(i)));
  }
  const std::string text = text_of(plan_.descriptor);
  if (plan_.embedded()) {
    if (text.size() >= kEmbeddedRoom) return invalid("its names are too long for its descriptor");
    return extents_[0]->finish(text);
  }
  for (const auto& extent : extents_) TRY(extent->finish(""));
  // The descriptor is what makes the files an image.
  TRY(file_->write(0, std::as_bytes(std::span(text))));
  return file_->sync();
}

Result<ImageWriterPtr> begin_stream(const CreateRequest& request, Plan plan) {
  // Whoever wrote it is done with it.
  plan.descriptor.extents = {
      fmt::format("RDONLY {} SPARSE \"{}.vmdk\"", plan.size / kSector, plan.stem)};
  return create_stream(request.file, {.size = plan.size,
                                      .grain = plan.grain,
                                      .child = plan.descriptor.parent.has_value(),
                                      .effort = request.compress.value_or(Effort::usual),
                                      .descriptor = text_of(plan.descriptor)});
}

}  // namespace

Result<ImageWriterPtr> create_vmdk(const CreateRequest& request) {
  Plan plan;
  TRY(take_type(request, plan));
  TRY(take_grains(request, plan));
  TRY(take_sizes(request, plan));
  TRY(take_machine(request, plan));
  TRY(take_parent(request, plan));
  TRY(take_name(request, plan));
  plan.descriptor.size = plan.size;
  if (plan.stream) return begin_stream(request, std::move(plan));
  auto writer = std::make_unique<VmdkWriter>(request.file, request.parts, std::move(plan));
  // What cannot be is refused now.
  TRY(writer->begin(0));
  return ImageWriterPtr(std::move(writer));
}

}  // namespace platter::vmdk
