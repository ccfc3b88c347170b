// VHDX under the contract. Its smallest block is 1 MiB, so that most disks here are in one block; a
// child's units are sectors.
#include "lib/image/registry.h"
#include "tests/contract/subjects_of_formats.h"
#include "tests/support/vhdx_builder.h"

namespace platter::test {
namespace {

Options with_small_blocks(Options more = {}) {
  more.emplace("block_size", "1M");
  return more;
}

Subject vhdx(uint64_t disk_size, const std::string& suffix = "", const Options& more = {}) {
  Subject s = of_format("vhdx", disk_size, with_small_blocks(more), suffix);
  // Without a parent it has nothing to let through.
  s.is_base = true;
  return s;
}

Subject vhdx_fixed(uint64_t disk_size) {
  Subject s = vhdx(disk_size, "_fixed", {{"fixed", "on"}});
  // All blocks have their places: nothing leaks, and nothing can be given back.
  s.can_repair = false;
  s.can_compact = false;
  return s;
}

Subject vhdx_child(uint64_t disk_size, const std::string& suffix = "_child",
                   const Options& more = {}) {
  Subject s = of_format("vhdx", disk_size, {}, suffix);
  s.is_child = true;
  s.create = [=](const FilePtr& file) -> Result<void> {
    const ParentLink parent{
        .reference = "parent.vhdx",
        .modification_uuid = *Uuid::parse("11111111-2222-4333-8444-555555555555")};
    const Options options = with_small_blocks(more);
    const auto writer = TRY(find_format("vhdx")->create(
        CreateRequest{.file = file, .size = disk_size, .options = options, .parent = parent}));
    return writer->finish();
  };
  return s;
}

Subject vhdx_of_large_sectors(uint64_t disk_size) {
  Subject s = vhdx_child(disk_size, "_child_4k", {{"logical_sector_size", "4096"}});
  // It grows in larger steps than the others.
  s.can_resize = false;
  return s;
}

// As a crash of another program leaves it: the log has the BAT's page, in an entry that wraps.
Subject vhdx_with_a_log(uint64_t disk_size) {
  Subject s = vhdx(disk_size, "_with_a_log");
  s.create = [=](const FilePtr& file) -> Result<void> {
    VhdxBuilder builder{.disk_size = disk_size};
    builder.log_guid = *Uuid::parse("99999999-2222-4333-8444-555555555555");
    builder.data.push_back({VhdxBuilder::kData, MiB, 0x10});
    std::vector<std::byte> page(4096);
    store(page, 0, le64(VhdxBuilder::kData | 6));
    builder.log.push_back({.at = MiB - 4096,
                           .sequence = 9,
                           .tail = MiB - 4096,
                           .pages = {{VhdxBuilder::kBat, page}},
                           .flushed = VhdxBuilder::kData + MiB,
                           .last = VhdxBuilder::kData + MiB});
    const auto made = builder.file();
    std::vector<std::byte> bytes(MiB);
    for (uint64_t at = 0; at < made->stat()->size; at += MiB) {
      TRY(made->read_exact(at, bytes));
      TRY(file->write(at, bytes));
    }
    return file->sync();
  };
  return s;
}

}  // namespace

std::vector<Subject> vhdx_subjects() {
  constexpr uint64_t kSmall = 24 * KiB + 512;
  constexpr uint64_t kTwoBlocks = MiB + kSmall;
  return {vhdx(kSmall),
          vhdx_child(kSmall),
          vhdx_fixed(kSmall),
          vhdx_of_large_sectors(28 * KiB),
          vhdx(kTwoBlocks, "_of_blocks"),
          vhdx_child(kTwoBlocks, "_child_of_blocks")};
}

std::vector<Subject> used_vhdx_subjects() { return {vhdx_with_a_log(24 * KiB + 512)}; }

std::vector<Subject> larger_vhdx_subjects() {
  return {vhdx(3 * MiB + 512), vhdx_child(MiB + 64 * KiB), vhdx_of_large_sectors(MiB + 64 * KiB)};
}

}  // namespace platter::test
