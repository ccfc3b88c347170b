#include "lib/image/registry.h"
#include "tests/contract/subjects_of_formats.h"
#include "tests/support/vhd_builder.h"

namespace platter::test {
namespace {

Subject vhd(uint64_t disk_size, const std::string& block_size) {
  Subject s = of_format("vhd", disk_size, {{"block_size", block_size}}, "_" + block_size);
  // What a parent has behind the end it cannot hide.
  s.is_base = true;
  return s;
}

Subject vhd_child(uint64_t disk_size, const std::string& block_size) {
  const Options options{{"block_size", block_size}};
  Subject s = of_format("vhd", disk_size, options, "_child_" + block_size);
  s.is_child = true;
  s.can_resize = false;
  s.create = [=](const FilePtr& file) -> Result<void> {
    const ParentLink parent{.reference = "parent.vhd",
                            .format = "vhd",
                            .uuid = *Uuid::parse("11111111-2222-4333-8444-555555555555")};
    const auto writer = TRY(find_format("vhd")->create(
        CreateRequest{.file = file, .size = disk_size, .options = options, .parent = parent}));
    return writer->finish();
  };
  return s;
}

Subject vhd_fixed(uint64_t disk_size) {
  Subject s = of_format("vhd", disk_size, {{"fixed", "on"}}, "_fixed");
  // Only a resize leaks, and there is none in a session.
  s.can_repair = false;
  s.can_compact = false;
  return s;
}

// As older programs leave them: blocks out of order with gaps between, sectors nobody wrote in
// blocks that are there, a table with no room behind it.
Subject vhd_used() {
  Subject s = of_format("vhd", kVhdUsedSize, {}, "_used");
  s.is_base = true;
  s.create = [](const FilePtr& file) -> Result<void> {
    TRY(file->write(0, used_vhd().build()));
    return file->sync();
  };
  return s;
}

}  // namespace

std::vector<Subject> vhd_subjects() {
  constexpr uint64_t kSize = 24 * KiB + 512;
  return {vhd(kSize, "2k"), vhd_child(kSize, "4k"), vhd_fixed(kSize)};
}

std::vector<Subject> larger_vhd_subjects() {
  return {vhd(100 * KiB, "512"), vhd(300 * KiB + 512, "16k"), vhd_child(100 * KiB, "4k"),
          vhd_child(64 * KiB, "512"), vhd_fixed(100 * KiB)};
}

std::vector<Subject> used_vhd_subjects() { return {vhd_used()}; }

}  // namespace platter::test
