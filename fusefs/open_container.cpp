#include "fusefs/open_container.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include <fmt/format.h>

#include "fusefs/overlay.h"
#include "lib/ops/new_file.h"

namespace platter::fusefs {
namespace {

// What is wrong with writing the image; it may well be read.
bool cannot_be_written(const Error& error) {
  switch (error.code()) {
    case Errc::read_only:
    case Errc::denied:
    case Errc::unsupported: return true;
    default: return error.sys_errno() == ETXTBSY;
  }
}

// What is in it is shown as the disk: nobody else may be able to change it. made: the file, when it
// is new and has no name yet.
Result<FilePtr> open_cache_image(const std::string& path, std::optional<NewFile>& made) {
  Result<FilePtr> file = PosixFile::open(path, Access::write, Links::refuse);
  if (!file && file.error().code() == Errc::not_found) {
    made.emplace(TRY(NewFile::begin(path, 0600)));
    return made->file();
  }
  if (!file) return file;
  const FileStat st = TRY((*file)->stat());
  if ((st.uid == geteuid() || st.uid == 0) && (st.mode & (S_IWGRP | S_IWOTH)) == 0) return file;
  return Error(Errc::invalid,
               path + ": is no cache image for this mount: somebody else could change it");
}

Result<std::unique_ptr<Container>> open_with(const MountOptions& options, const std::string& image,
                                             Access access, KeySource& keys) {
  OverlayKeys all(keys);
  ContainerOptions container = options.container;
  container.access = access;
  container.keys = &all;
  std::optional<NewFile> made;
  if (!options.cache_image.empty()) {
    container.cache_file = TRY(open_cache_image(options.cache_image, made));
  }
  if (options.overlay) container.overlay = TRY(open_overlay(options, image, access, all));
  auto opened = TRY(Container::open(image, container));
  if (made) TRY(made->publish());
  return opened;
}

// refusal: why it is not open for writing though that was wanted; else empty.
std::vector<std::string> remarks_about(const Container& container, const std::string& refusal) {
  std::vector<std::string> remarks;
  const std::vector<ChainLayer>& chain = container.chain();
  if (!refusal.empty() && !chain.front().guessed) {
    remarks.push_back(refusal + ": mounted read-only");
  }
  if (container.cache() != nullptr) {
    const ReadCache::Numbers cache = container.cache()->numbers();
    if (!cache.emptied.empty()) {
      remarks.push_back(fmt::format("{}: was emptied: {}", cache.file, cache.emptied));
    }
  }
  for (const ChainLayer& layer : chain) {
    if (layer.guessed) {
      remarks.push_back(layer.path +
                        ": warning: no format claims it: taken for raw, read-only (format=raw if "
                        "that is right)");
    }
    for (const std::string& warning : layer.image->info().warnings) {
      remarks.push_back(fmt::format("{}: warning: {}", layer.path, warning));
    }
    for (const std::string& warning : layer.warnings) {
      remarks.push_back(fmt::format("{}: warning: {}", layer.path, warning));
    }
  }
  return remarks;
}

}  // namespace

Result<Opened> open_container(const MountOptions& options, const std::string& image, Access access,
                              KeySource& keys) {
  Result<std::unique_ptr<Container>> first = open_with(options, image, access, keys);
  std::string refusal;
  if (!first) {
    const bool thrown_away = options.overlay && options.overlay_file.empty();
    if (access == Access::read || thrown_away || !cannot_be_written(first.error())) {
      return std::move(first.error());
    }
    const std::string& written = options.overlay ? options.overlay_file : image;
    refusal = std::move(first.error()).within(written).message();
    first = open_with(options, image, Access::read, keys);
    if (!first) return std::move(first.error());
  }
  Opened opened{*std::move(first), {}};
  opened.remarks = remarks_about(*opened.container, refusal);
  return opened;
}

}  // namespace platter::fusefs
