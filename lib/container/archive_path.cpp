#include "lib/container/archive_path.h"

#include <cerrno>
#include <filesystem>

#include <fmt/format.h>

#include "lib/base/text.h"
#include "lib/image/registry.h"

namespace platter {
namespace {

namespace fs = std::filesystem;

// Null: the file is no archive. What cannot be probed says so when it is opened as an image.
Result<ArchivePtr> archive_of(const FilePtr& file, const Format* format) {
  if (format == nullptr) {
    const Result<Probed> probed = probe(*file);
    if (!probed) return ArchivePtr();
    format = probed->format;
  }
  if (!format->holds_images()) return ArchivePtr();
  return TRY_IN(file->name(), format->open_archive(file));
}

// Not more than fit a line.
std::string names_of(const Archive& archive) {
  constexpr size_t kMost = 8;
  std::string names;
  size_t count = 0;
  for (const ArchivedDisk& disk : archive.disks()) {
    if (disk.member.empty() || ++count > kMost) continue;
    names += (names.empty() ? "" : ", ") + printable(disk.member);
  }
  if (count > kMost) names += fmt::format(" and {} more", count - kMost);
  return names.empty() ? "none" : names;
}

NamedImage image_in(ArchivePtr archive, const ArchivedDisk& disk, const Format* format) {
  NamedImage named{.file = archive->open(disk), .format = format, .disk = disk};
  named.archive = std::move(archive);
  return named;
}

Result<NamedImage> only_image_in(const std::string& path, ArchivePtr archive) {
  const ArchivedDisk* only = nullptr;
  size_t count = 0;
  for (const ArchivedDisk& disk : archive->disks()) {
    if (!disk.problem.empty()) continue;
    ++count;
    only = &disk;
  }
  if (count == 1) return image_in(std::move(archive), *only, nullptr);
  const std::string what = count == 0 ? "has no disk that can be opened"
                                      : fmt::format(
                                            "is an archive of {} disks: {}/NAME is one of "
                                            "them",
                                            count, fs::path(path).filename().string());
  return Error(count == 0 ? Errc::not_found : Errc::invalid,
               fmt::format("{}: {} ({})", path, what, names_of(*archive)));
}

Result<NamedImage> image_named_in(const std::string& path, ArchivePtr archive,
                                  const std::string& member, const Format* format) {
  const ArchivedDisk* found = nullptr;
  for (const ArchivedDisk& disk : archive->disks()) {
    if (!member.empty() && disk.member == member && (found == nullptr || disk.problem.empty()))
      found = &disk;
  }
  if (found == nullptr) {
    return Error(Errc::not_found,
                 fmt::format("{}: the archive has no such disk ({})", path, names_of(*archive)));
  }
  if (!found->problem.empty()) {
    return Error(Errc::unsupported, fmt::format("{}: {}", path, found->problem));
  }
  if (format != nullptr && format->holds_images()) format = nullptr;  // said of the archive
  return image_in(std::move(archive), *found, format);
}

}  // namespace

Result<NamedImage> open_named(const std::string& path, const Format* format, Access access,
                              Links links) {
  const auto read_only = [&path] {
    return Error(Errc::read_only, path + ": disks in an archive are only read");
  };
  Result<FilePtr> file = PosixFile::open(path, access, links);
  if (file) {
    ArchivePtr archive = TRY(archive_of(*file, format));
    if (archive == nullptr) return NamedImage{.file = *std::move(file), .format = format};
    if (access == Access::write) return read_only();
    return only_image_in(path, std::move(archive));
  }
  if (file.error().sys_errno() != ENOTDIR) return std::move(file.error());
  const fs::path into(path);
  ArchivePtr archive = TRY(archive_at(into.parent_path(), nullptr, links));
  if (archive == nullptr) return std::move(file.error());
  if (access == Access::write) return read_only();
  return image_named_in(path, std::move(archive), into.filename(), format);
}

Result<ArchivePtr> archive_at(const std::string& path, const Format* format, Links links) {
  const Result<FilePtr> file = PosixFile::open(path, Access::read, links);
  if (!file) return ArchivePtr();
  return archive_of(*file, format);
}

std::string path_in(const std::string& archive, const std::string& member) {
  return archive + "/" + member;
}

bool name_the_same(const std::string& a, const std::string& b) {
  std::error_code missing;
  if (fs::equivalent(a, b, missing)) return true;
  const fs::path first(a), second(b);
  return first.filename() == second.filename() && !first.filename().empty() &&
         fs::is_regular_file(first.parent_path(), missing) &&
         fs::equivalent(first.parent_path(), second.parent_path(), missing);
}

}  // namespace platter
