#include "tests/support/writable_image.h"

#include <stdexcept>

#include "lib/container/container.h"
#include "tests/support/disk_images.h"
#include "tests/support/vdi_builder.h"

namespace platter::test {
namespace {

constexpr uint32_t kBlock = 64 * KiB;
constexpr size_t kBlocks = kWritableSize / kBlock;

// Every second block is there.
VdiBuilder half_full() {
  VdiBuilder builder{.block_size = kBlock,
                     .map = std::vector<uint32_t>(kBlocks, VdiBuilder::kFree)};
  for (uint32_t i = 0; i < kBlocks; i += 2) {
    builder.map[i] = i / 2;
    builder.data.push_back(static_cast<uint8_t>(i + 1));
  }
  return builder;
}

void write_vdi(const std::string& path, const VdiBuilder& builder) {
  const std::vector<std::byte> bytes = builder.build();
  write_file(path, Bytes(bytes));
}

// Some blocks are its own, one hides the parent's behind zeroes, the rest is the parent's.
VdiBuilder child_of(const VdiBuilder& parent) {
  VdiBuilder builder{.type = 4,
                     .block_size = kBlock,
                     .map = std::vector<uint32_t>(kBlocks, VdiBuilder::kFree),
                     .uuid = *Uuid::parse("22222222-2222-4333-8444-555555555555"),
                     .parent_uuid = parent.uuid,
                     .parent_modification_uuid = parent.modification_uuid,
                     .data = {0x80, 0x90}};
  builder.map[2] = 0;
  builder.map[3] = 1;
  builder.map[4] = VdiBuilder::kZero;
  return builder;
}

std::unique_ptr<Container> open_again(const WritableImage& image) {
  auto container = Container::open(image.path, {.format = image.options.empty() ? "" : "raw"});
  if (!container) throw std::runtime_error(container.error().message());
  return *std::move(container);
}

}  // namespace

WritableImage::WritableImage(const std::string& kind, const std::string& directory) {
  if (kind == "raw") {
    path = directory + "/disk.img";
    options = {"-oformat=raw"};
    write_sparse(path, kWritableSize, {{0, kWritableSize / 2}});
    return;
  }
  path = directory + "/disk.vdi";
  if (kind == "vdi") {
    write_vdi(path, half_full());
    return;
  }
  parent = directory + "/base.vdi";
  write_vdi(parent, half_full());
  write_vdi(path, child_of(half_full()));
}

std::string WritableImage::contents() const {
  const auto container = open_again(*this);
  std::string bytes(container->live()->size(), '\0');
  const Result<void> read =
      container->live()->read(0, std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
  if (!read) throw std::runtime_error(read.error().message());
  return bytes;
}

CheckReport WritableImage::check() const {
  CheckReport report;
  if (!options.empty()) return report;
  const Result<void> checked =
      open_again(*this)->chain().front().image->check(Repair::none, report);
  if (!checked) throw std::runtime_error(checked.error().message());
  return report;
}

}  // namespace platter::test
