#include "tests/contract/subject.h"

#include "tests/contract/subjects_of_formats.h"

#include <gtest/gtest.h>

#include "lib/image/registry.h"
#include "lib/io/memory_file.h"
#include "tests/formats/qcow2/check_image.h"
#include "tests/support/test_keys.h"
#include "tests/support/toy_image.h"
#include "tests/support/vdi_builder.h"

namespace platter::test {

Subject of_format(const std::string& format_name, uint64_t disk_size, const Options& options,
                  const std::string& name_suffix) {
  const Format* format = find_format(format_name);
  Subject s{.name = format_name + name_suffix,
            .can_resize = format->can_resize(),
            .can_snapshot = format->can_snapshot(),
            .can_compact = format->can_compact(),
            .can_repair = format->can_repair(),
            .disk_size = disk_size};
  s.create = [=](const FilePtr& file) -> Result<void> {
    const auto writer = TRY(format->create(
        CreateRequest{.file = file, .size = disk_size, .options = options, .keys = test_keys()}));
    return writer->finish();
  };
  s.open = [=](const FilePtr& file, Epochs& epochs, bool writable) -> Result<ImagePtr> {
    const auto denied = deny_resolver("no other file is part of this");
    return format->open(OpenRequest{.file = file,
                                    .resolver = *denied,
                                    .tables = std::make_shared<PageCache>(64 * KiB),
                                    .writable = writable,
                                    .epochs = &epochs,
                                    .keys = test_keys()});
  };
  s.fault = [=](const FilePtr& file) -> std::optional<std::string> {
    Epochs epochs;
    auto image = s.open(file, epochs, false);
    if (!image) return image.error().message();
    CheckReport report;
    auto done = (*image)->check(Repair::none, report);
    // A format without rules has none to break.
    if (!done && done.error().code() == Errc::unsupported) return std::nullopt;
    if (!done) return done.error().message();
    if (report.corruptions == 0) return std::nullopt;
    return report.messages.front();
  };
  return s;
}

namespace {

constexpr uint64_t kSize = 24 * KiB + 512;

Subject toy(uint64_t disk_size) {
  Subject s{.name = "toy", .disk_size = disk_size};
  s.create = [=](const FilePtr& file) { return ToyImage::create(*file, disk_size); };
  s.open = [](const FilePtr& file, Epochs& epochs, bool) -> Result<ImagePtr> {
    return ImagePtr(TRY(ToyImage::open(file, epochs)));
  };
  s.fault = [](const FilePtr& file) -> std::optional<std::string> {
    Epochs epochs;
    auto image = ToyImage::open(file, epochs);
    if (!image) return image.error().message();
    return (*image)->fault();
  };
  return s;
}

Subject raw(uint64_t disk_size) {
  Subject s = of_format("raw", disk_size, {});
  s.can_compact = false;
  return s;
}

Subject vdi(uint64_t disk_size, const char* block_size) {
  return of_format("vdi", disk_size, {{"block_size", block_size}});
}

Subject vdi_child(uint64_t disk_size, const char* block_size) {
  const Options options{{"block_size", block_size}};
  Subject s = of_format("vdi", disk_size, options, "_child");
  s.is_child = true;
  s.create = [=](const FilePtr& file) -> Result<void> {
    const ParentLink parent{.uuid = *Uuid::parse("11111111-2222-4333-8444-555555555555")};
    const auto writer = TRY(find_format("vdi")->create(
        CreateRequest{.file = file, .size = disk_size, .options = options, .parent = parent}));
    return writer->finish();
  };
  return s;
}

Subject vdi_static(uint64_t disk_size) {
  Subject s = of_format("vdi", disk_size, {{"static", "on"}, {"block_size", "2k"}}, "_static");
  s.can_resize = false;
  // All blocks have their places: nothing leaks, and nothing can be given back.
  s.can_repair = false;
  s.can_compact = false;
  return s;
}

// As no creator lays it out: the map lies across two sectors, so that a power cut can tear it, and
// has no room behind it, so that to grow is to move blocks.
Subject vdi_packed(uint64_t disk_size) {
  Subject s = of_format("vdi", disk_size, {}, "_packed");
  s.create = [=](const FilePtr& file) -> Result<void> {
    constexpr uint32_t kBlock = 2 * KiB;
    VdiBuilder builder{.map_offset = 1000, .block_size = kBlock, .disk_size = disk_size};
    builder.map.assign((disk_size + kBlock - 1) / kBlock, VdiBuilder::kFree);
    builder.data_offset = static_cast<uint32_t>(builder.map_offset + 4 * builder.map.size());
    TRY(file->write(0, builder.build()));
    return file->sync();
  };
  return s;
}

Subject qcow2(uint64_t disk_size, const std::string& cluster_size, const char* refcount_bits) {
  Subject s = of_format("qcow2", disk_size,
                        {{"cluster_size", cluster_size}, {"refcount_bits", refcount_bits}},
                        "_" + cluster_size + "_" + refcount_bits);
  // Refcounts of one bit leave no room for snapshots.
  s.can_snapshot = std::string_view(refcount_bits) != "1";
  return s;
}

Subject qcow2_child(uint64_t disk_size, const std::string& cluster_size) {
  const Options options{{"cluster_size", cluster_size}};
  Subject s = of_format("qcow2", disk_size, options, "_child_" + cluster_size);
  s.is_child = true;
  s.create = [=](const FilePtr& file) -> Result<void> {
    const auto writer = TRY(find_format("qcow2")->create(
        CreateRequest{.file = file,
                      .size = disk_size,
                      .options = options,
                      .parent = ParentLink{.reference = "parent", .format = "raw"}}));
    return writer->finish();
  };
  return s;
}

Subject qcow2_version_2(uint64_t disk_size, const std::string& cluster_size) {
  Subject s = of_format("qcow2", disk_size, {{"cluster_size", cluster_size}, {"compat", "0.10"}},
                        "_v2_" + cluster_size);
  // Zeroes over a parent it can only tell when it knows of one.
  s.is_base = true;
  return s;
}

Subject qcow2_extended(uint64_t disk_size) {
  return of_format("qcow2", disk_size, {{"cluster_size", "16k"}, {"extended_l2", "on"}},
                   "_extended");
}

// Made once, with a LUKS header that takes no time to open, and copied from then on.
void open_quickly(Subject& s) {
  s.create = [create = s.create, open = s.open,
              made = std::make_shared<std::shared_ptr<MemoryFile>>()](
                 const FilePtr& file) -> Result<void> {
    if (*made == nullptr) {
      const auto first = std::make_shared<MemoryFile>("encrypted");
      TRY(create(first));
      Epochs epochs;
      const auto image = TRY(open(first, epochs, false));
      if (const auto place = image->luks_header()) TRY(make_luks_quick(*place));
      *made = first;
    }
    return copy_image(**made, *file);
  };
}

Subject qcow2_encrypted(uint64_t disk_size, const std::string& name, const Options& options) {
  Subject s = of_format("qcow2", disk_size, options, "_" + name);
  open_quickly(s);
  return s;
}

Options luks_options(const std::string& cluster_size, const std::string& iv) {
  return {{"cluster_size", cluster_size},    {"encrypt.format", "luks"},
          {"encrypt.cipher-alg", "aes-128"}, {"encrypt.cipher-mode", "cbc"},
          {"encrypt.ivgen-alg", iv},         {"encrypt.iter-time", "1"}};
}

Subject luks(uint64_t disk_size) {
  Subject s = of_format("luks", disk_size, quick_options(*find_format("luks")));
  // Only the length of its file says how large the disk is: what a crash leaves of a growth is any
  // size between.
  s.can_resize = false;
  open_quickly(s);
  return s;
}

// With a snapshot that shares clusters, and a compressed cluster.
Subject qcow2_used(uint32_t version) {
  const qcow2::test::RichImage rich(version);
  Subject s = of_format("qcow2", rich.header.size, {}, version == 2 ? "_used_v2" : "_used");
  s.is_base = version == 2;
  s.create = [=](const FilePtr& file) -> Result<void> {
    TRY(file->write(0, qcow2::test::bytes_of_file(*rich.file())));
    return file->sync();
  };
  return s;
}

Subject qcow(uint64_t disk_size, const std::string& cluster_size) {
  Subject s = of_format("qcow", disk_size, {{"cluster_size", cluster_size}}, "_" + cluster_size);
  // What a parent has behind the end it cannot hide.
  s.is_base = true;
  // What is leaked in the middle of the file stays there.
  s.can_repair = false;
  return s;
}

Subject qcow_encrypted(uint64_t disk_size) {
  Subject s = qcow(disk_size, "1k");
  const Subject made =
      of_format("qcow", disk_size, {{"cluster_size", "1k"}, {"encrypt.format", "aes"}}, "_aes");
  s.name = made.name;
  s.create = made.create;
  return s;
}

Subject qcow_child(uint64_t disk_size, const Options& options) {
  Subject s = of_format("qcow", disk_size, options, "_child");
  s.is_child = true;
  s.can_resize = false;
  s.can_repair = false;
  s.create = [=](const FilePtr& file) -> Result<void> {
    const auto writer = TRY(find_format("qcow")->create(
        CreateRequest{.file = file,
                      .size = disk_size,
                      .options = options,
                      .parent = ParentLink{.reference = "parent", .format = "raw"}}));
    return writer->finish();
  };
  return s;
}

std::vector<View::Layer> layers(const Image* top, const Image* parent, SnapshotId snapshot = 0) {
  std::vector<View::Layer> layers{{top, snapshot}};
  if (parent != nullptr) layers.push_back({parent, 0});
  return layers;
}

void append(std::vector<Subject>& list, std::vector<Subject> more) {
  std::move(more.begin(), more.end(), std::back_inserter(list));
}

ImagePtr open_or_throw(const Subject& subject, const FilePtr& file, Epochs& epochs, bool writable) {
  Result<ImagePtr> image = subject.open(file, epochs, writable);
  if (!image) throw std::runtime_error(subject.name + ": " + image.error().message());
  return std::move(*image);
}

}  // namespace

std::vector<Subject> subjects() {
  std::vector<Subject> list{
      toy(kSize),
      raw(kSize),
      vdi(kSize, "2k"),
      vdi_child(kSize, "2k"),
      vdi_static(kSize),
      vdi_packed(kSize),
      qcow2(kSize, "512", "16"),
      qcow2(kSize, "2k", "64"),
      qcow2_child(kSize, "1k"),
      qcow2_version_2(kSize, "512"),
      qcow2_extended(100 * KiB + 512),
      qcow(kSize, "512"),
      qcow(kSize, "4k"),
      qcow_child(kSize, {}),
      qcow_encrypted(kSize),
      qcow2_encrypted(kSize, "luks", luks_options("512", "plain64")),
      qcow2_encrypted(kSize, "aes", {{"cluster_size", "1k"}, {"encrypt.format", "aes"}}),
      luks(kSize)};
  append(list, vmdk_subjects());
  append(list, vhd_subjects());
  append(list, vhdx_subjects());
  return list;
}

std::vector<Subject> used_subjects() {
  std::vector<Subject> list{qcow2_used(2), qcow2_used(3)};
  append(list, used_vhd_subjects());
  append(list, used_vhdx_subjects());
  return list;
}

std::vector<Subject> larger_subjects() {
  std::vector<Subject> list{toy(100 * KiB + 1),
                            raw(100 * KiB + 1),
                            vdi(100 * KiB, "512"),
                            vdi(300 * KiB + 512, "16k"),
                            vdi_child(100 * KiB, "4k"),
                            vdi_child(64 * KiB, "512"),
                            vdi_packed(100 * KiB),
                            qcow2(100 * KiB, "512", "64"),
                            qcow2(300 * KiB + 512, "4k", "1"),
                            qcow2(600 * KiB, "64k", "16"),
                            qcow2_version_2(100 * KiB, "1k"),
                            qcow2_extended(300 * KiB + 512),
                            qcow(100 * KiB, "512"),
                            qcow(600 * KiB, "64k"),
                            qcow_child(100 * KiB, {{"cluster_size", "1k"}}),
                            qcow2_encrypted(300 * KiB, "luks", luks_options("4k", "essiv")),
                            luks(100 * KiB)};
  append(list, larger_vmdk_subjects());
  append(list, larger_vhd_subjects());
  append(list, larger_vhdx_subjects());
  for (size_t i = 0; i < list.size(); ++i) list[i].name += "_" + std::to_string(i);
  return list;
}

std::vector<Subject> only(std::vector<Subject> subjects, bool Subject::*property) {
  std::erase_if(subjects, [=](const Subject& s) { return !(s.*property); });
  return subjects;
}

Result<std::vector<std::byte>> read_disk(const Subject& subject, const FilePtr& file,
                                         const Image* parent) {
  Epochs epochs;
  BlockCache blocks(64 * KiB);
  const ImagePtr image = TRY(subject.open(file, epochs, false));
  const View view(layers(image.get(), parent), blocks);
  std::vector<std::byte> out(view.size());
  TRY(view.read(0, out));
  return out;
}

Result<std::vector<std::vector<std::byte>>> read_snapshots(const Subject& subject,
                                                           const FilePtr& file,
                                                           const Image* parent) {
  Epochs epochs;
  BlockCache blocks(64 * KiB);
  const ImagePtr image = TRY(subject.open(file, epochs, false));
  std::vector<std::vector<std::byte>> all;
  for (const SnapshotInfo& snapshot : image->snapshots()) {
    const View view(layers(image.get(), parent, snapshot.id), blocks);
    TRY(view.read(0, all.emplace_back(view.size())));
  }
  return all;
}

std::vector<std::byte> contents_of(const Subject& subject, const FilePtr& file,
                                   const Image* parent) {
  auto out = read_disk(subject, file, parent);
  EXPECT_TRUE(out) << out.error().message();
  return out ? *std::move(out) : std::vector<std::byte>();
}

Result<CheckReport> check(const Subject& subject, const FilePtr& file, Repair how) {
  Epochs epochs;
  const ImagePtr image = TRY(subject.open(file, epochs, how != Repair::none));
  CheckReport report;
  TRY(image->check(how, report));
  return report;
}

Result<void> compact(const Subject& subject, const FilePtr& file, Progress& progress) {
  Epochs epochs;
  const ImagePtr image = TRY(subject.open(file, epochs, true));
  return image->compact(progress);
}

Result<void> grow(const Subject& subject, const FilePtr& file, const Image* parent, uint64_t size) {
  if (parent != nullptr) {
    TestDisk disk(subject, file, parent, {.zeroes = Zeroes::keep, .flush_every_ms = 0});
    const uint64_t last = disk.view().size() - 1;
    std::byte value{};
    TRY(disk.view().read(last, MutableBytes(&value, 1)));
    TRY(disk.write({last, 1}, value));
    TRY(disk.writer().close());
  }
  Epochs epochs;
  const ImagePtr image = TRY(subject.open(file, epochs, true));
  return image->resize(size);
}

TestParent::TestParent(uint64_t size) {
  const Subject subject = toy(size);
  const auto file = std::make_shared<MemoryFile>("parent");
  EXPECT_TRUE(subject.create(file));
  {
    TestDisk disk(subject, file);
    EXPECT_TRUE(disk.write({0, size / 5 * 2}, std::byte{0xee}));
    EXPECT_TRUE(disk.write({size / 5 * 3, size / 3}, std::byte{0xee}));
    EXPECT_TRUE(disk.writer().close());
  }
  image_ = open_or_throw(subject, file, epochs_, false);
}

}  // namespace platter::test
