#include "tests/support/vmdk_builder.h"

#include <algorithm>
#include <cstring>

#include "lib/container/view.h"
#include "lib/image/registry.h"
#include "tests/support/bytes.h"

namespace platter::test {
namespace {

void put_bytes(std::vector<std::byte>& out, uint64_t at, Bytes bytes) {
  if (out.size() < at + bytes.size()) out.resize(at + bytes.size());
  std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<long>(at));
}

template <class T>
void put_value(std::vector<std::byte>& out, uint64_t at, uint64_t value) {
  using Raw = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  put_bytes(out, at, as_bytes_of(T(static_cast<Raw>(value))));
}

void put_table(std::vector<std::byte>& out, uint64_t at, const std::vector<uint32_t>& entries) {
  for (size_t i = 0; i < entries.size(); ++i) put_value<le32>(out, at + 4 * i, entries[i]);
}

}  // namespace

std::string vmdk_text(const std::string& type, const std::vector<std::string>& extents,
                      const std::string& more) {
  std::string text = "# Disk DescriptorFile\nversion=1\nCID=0a1b2c3d\nparentCID=ffffffff\n";
  text += "createType=\"" + type + "\"\n" + more + "\n# Extent description\n";
  for (const std::string& line : extents) text += line + "\n";
  return text + "\n# The Disk Data Base\n#DDB\n\n";
}

std::string VmdkBuilder::text() const {
  if (descriptor) return *descriptor;
  return vmdk_text("monolithicSparse", {"RW " + std::to_string(capacity) + " SPARSE \"any.vmdk\""},
                   more_lines) +
         more_ddb;
}

std::vector<std::byte> VmdkBuilder::build() const {
  std::vector<std::byte> out(overhead * 512);
  put_value<le32>(out, 0, magic);
  put_value<le32>(out, 4, version);
  put_value<le32>(out, 8, flags);
  put_value<le64>(out, 12, capacity);
  put_value<le64>(out, 20, grain);
  put_value<le64>(out, 28, descriptor_at);
  put_value<le64>(out, 36, descriptor_size);
  put_value<le32>(out, 44, per_table);
  put_value<le64>(out, 48, redundant_at);
  put_value<le64>(out, 56, directory_at);
  put_value<le64>(out, 64, overhead);
  out[72] = std::byte{unclean};
  put_bytes(out, 73, bytes_of(newlines));
  out[77] = static_cast<std::byte>(compression);
  if (descriptor_at != 0) put_bytes(out, descriptor_at * 512, bytes_of(text()));
  put_value<le32>(out, 21 * 512, 22);
  put_value<le32>(out, 26 * 512, 27);
  put_table(out, kVmdkRedundantTable, redundant_table.value_or(table));
  put_table(out, kVmdkTable, table);
  for (const uint8_t first : data) {
    for (uint64_t sector = 0; sector < grain; ++sector) {
      out.insert(out.end(), 512, static_cast<std::byte>(first + sector));
    }
  }
  for (const auto& [at, word] : words) put_value<le32>(out, at, word);
  if (file_size) out.resize(*file_size);
  return out;
}

std::shared_ptr<MemoryFile> VmdkBuilder::file(const std::string& name) const {
  return std::make_shared<MemoryFile>(name, build());
}

Result<ImagePtr> open_vmdk(FilePtr file, const std::map<std::string, FilePtr>& others,
                           bool info_only) {
  const auto resolver = map_resolver(others);
  return find_format("vmdk")->open({.file = std::move(file),
                                    .resolver = *resolver,
                                    .tables = std::make_shared<PageCache>(MiB),
                                    .info_only = info_only});
}

Result<ImagePtr> open_writable_vmdk(const FilePtr& file, Epochs& epochs,
                                    const std::map<std::string, FilePtr>& others, bool info_only) {
  const auto resolver = map_resolver(others);
  return find_format("vmdk")->open({.file = file,
                                    .resolver = *resolver,
                                    .tables = std::make_shared<PageCache>(MiB),
                                    .info_only = info_only,
                                    .writable = true,
                                    .epochs = &epochs});
}

CheckReport check_vmdk(const FilePtr& file) {
  CheckReport report;
  const auto image = open_vmdk(file, {}, true);
  if (!image) report.corruption(image.error().message());
  if (image && !(*image)->check(Repair::none, report)) report.corruption("cannot be checked");
  return report;
}

std::vector<int> sectors_of(const FilePtr& file, const std::map<std::string, FilePtr>& others) {
  const auto image = open_vmdk(file, others);
  if (!image) return {};
  BlockCache blocks{64 * KiB};
  const View view({{image->get(), 0}}, blocks);
  std::vector<int> out;
  for (uint64_t at = 0; at < view.size(); at += 512) {
    std::byte value{};
    const auto done = view.read(at, MutableBytes(&value, 1));
    out.push_back(done ? std::to_integer<int>(value) : -1);
  }
  return out;
}

uint32_t word_at(const File& file, uint64_t at) {
  const auto value = file.read_struct<le32>(at);
  return value ? uint32_t{*value} : 0xeeeeeeee;
}

}  // namespace platter::test
