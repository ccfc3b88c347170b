#include "tests/support/disk_images.h"

#include <fcntl.h>
#include <unistd.h>

#include <stdexcept>

#include "lib/partition/mbr.h"
#include "tests/formats/qcow2/image_builder.h"
#include "tests/support/temp_dir.h"

namespace platter::test {

std::string sector_text(size_t size, unsigned seed) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>((i * 31 + i / 512 * 7 + seed * 101) % 251 + 1);
  }
  return bytes;
}

std::string partitioned_disk() {
  std::string disk = sector_text(1 * MiB);
  const auto entry = [](const Range& range) {
    return MbrEntry{.type = 0x83,
                    .start = static_cast<uint32_t>(range.offset / 512),
                    .length = static_cast<uint32_t>(range.length / 512)};
  };
  BootRecord record;
  record.entries[0] = entry(kFirstPartition);
  record.entries[1] = entry(kSecondPartition);
  record.signature = kBootSignature;
  store(std::as_writable_bytes(std::span(disk)), 0, record);
  return disk;
}

void write_overlay(const std::string& path, const std::string& parent,
                   const std::string& parent_format) {
  qcow2::test::ImageBuilder builder;
  if (!parent.empty()) builder.backing(parent, 200);
  if (!parent_format.empty()) {
    builder.extension(qcow2::ExtensionType::backing_format, parent_format);
  }
  const FilePtr file = builder.file();
  std::vector<std::byte> bytes(builder.bytes.size());
  if (!file->read_exact(0, bytes)) throw std::runtime_error("no image");
  write_file(path, bytes);
}

void write_chain(const std::string& directory, unsigned depth) {
  for (unsigned i = 0; i < depth; ++i) {
    const std::string parent = i + 1 < depth ? std::to_string(i + 1) + ".qcow2" : "";
    write_overlay(directory + "/" + std::to_string(i) + ".qcow2", parent,
                  parent.empty() ? "" : "qcow2");
  }
}

void write_sparse(const std::string& path, uint64_t size, const std::vector<Range>& data) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  bool good = fd >= 0 && ftruncate(fd, static_cast<off_t>(size)) == 0;
  for (const Range& range : data) {
    const std::string bytes = sector_text(range.length, static_cast<unsigned>(range.offset / 4096));
    good = good && pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(range.offset)) ==
                       static_cast<ssize_t>(bytes.size());
  }
  if (fd >= 0) close(fd);
  if (!good) throw std::runtime_error("cannot write " + path);
}

}  // namespace platter::test
