#include "fusefs/attributes.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "fusefs/live_info.h"
#include "lib/base/checked.h"

namespace platter::fusefs {
namespace {

constexpr uint64_t kStatBlock = 512;  // the unit of st_blocks, bytes

mode_t permissions(const Ownership& ownership, uint32_t image_mode, bool directory, bool writable) {
  const mode_t mask = writable ? 0666U : 0444U;
  const mode_t readable = ownership.umask ? mask & ~*ownership.umask : image_mode & mask;
  if (!directory) return readable;
  // Who may read may also look in.
  const mode_t searchable = ownership.umask ? 0111U & ~*ownership.umask : (readable & 0444U) >> 2U;
  return readable | searchable;
}

// The share of the chain's space that a window of the disk has: never more than the window, and
// not nothing while there are bytes.
uint64_t blocks_of(uint64_t allocated, const Range& window, uint64_t disk_size) {
  if (window.empty()) return 0;
  const auto share = static_cast<unsigned __int128>(allocated) * window.length / disk_size;
  const uint64_t limit = div_up(window.length, kStatBlock);
  return std::clamp<uint64_t>(
      static_cast<uint64_t>(std::min<unsigned __int128>(share / kStatBlock, limit)), 1, limit);
}

struct Attribute {
  std::string_view name;
  std::optional<std::string> (*value)(const Disk& disk);
};

std::optional<std::string> parent_of(const Disk& disk) {
  const auto& parent = disk.layer().image->info().parent;
  if (!parent) return std::nullopt;
  if (!parent->reference.empty()) return parent->reference;
  return parent->uuid ? std::optional(parent->uuid->to_string()) : std::nullopt;
}

constexpr Attribute kAttributes[] = {
    {"user.platter.format",
     [](const Disk& disk) { return std::optional(disk.layer().image->info().format); }},
    {"user.platter.virtual-size",
     [](const Disk& disk) { return std::optional(std::to_string(disk.size())); }},
    {"user.platter.uuid",
     [](const Disk& disk) -> std::optional<std::string> {
       const auto& uuid = disk.layer().image->info().uuid;
       return uuid ? std::optional(uuid->to_string()) : std::nullopt;
     }},
    {"user.platter.parent", parent_of},
    {"user.platter.dirty",
     [](const Disk& disk) {
       return std::optional<std::string>(disk.layer().image->info().dirty ? "true" : "false");
     }},
};

}  // namespace

Writer* writer_of(const Served& served, const Node& node) {
  const bool bytes = node.kind == Node::Kind::disk || node.kind == Node::Kind::partition;
  return bytes ? served.disk(node).writer() : nullptr;
}

bool can_change_names(const Served& served, const Node& directory) {
  return directory.kind == Node::Kind::snapshots && served.container.writer() != nullptr &&
         served.container.chain().front().format->can_snapshot();
}

Result<Range> window_of(const Served& served, const Node& node) {
  const Disk& disk = served.disk(node);
  if (node.kind == Node::Kind::disk) return Range{0, disk.size()};
  const PartitionsPtr partitions = TRY(disk.partitions());
  const Partition* partition = Disk::find(*partitions, node.partition);
  if (partition == nullptr) return Error(Errc::not_found, "there is no such partition");
  return partition->range;
}

struct stat stat_of(const ServedBy& by, const FileStat& image, const Node& node, bool writable) {
  struct stat st = {};
  st.st_ino = inode_of(node);
  st.st_mode = (node.is_directory() ? S_IFDIR : S_IFREG) |
               permissions(by.ownership, image.mode, node.is_directory(), writable);
  st.st_nlink = 1;
  st.st_uid = by.ownership.uid.value_or(image.uid);
  st.st_gid = by.ownership.gid.value_or(image.gid);
  st.st_blksize = 64 * KiB;
  st.st_mtim.tv_sec = image.mtime_ns / 1000000000;
  st.st_mtim.tv_nsec = image.mtime_ns % 1000000000;
  if (st.st_mtim.tv_nsec < 0) {
    st.st_mtim.tv_sec -= 1;
    st.st_mtim.tv_nsec += 1000000000;
  }
  st.st_atim = st.st_ctim = st.st_mtim;
  return st;
}

Result<struct stat> stat_of(const Served& served, const Node& node) {
  const Disk& disk = served.disk(node);
  const FileStat image = TRY(disk.layer().image->files().front()->stat());
  // Who may write but asks for what the format has not hears that, not that it is forbidden.
  const bool names = node.kind == Node::Kind::snapshots && served.container.writer() != nullptr;
  struct stat st = stat_of(served.by, image, node, names || writer_of(served, node) != nullptr);
  if (node.kind == Node::Kind::info) {
    st.st_size = static_cast<off_t>(TRY(live_info(served, disk)).size());
    st.st_blocks = 1;
  } else if (!node.is_directory()) {
    const Range window = TRY(window_of(served, node));
    st.st_size = static_cast<off_t>(window.length);
    st.st_blocks = static_cast<blkcnt_t>(blocks_of(TRY(disk.allocated()), window, disk.size()));
  }
  return st;
}

Result<struct statvfs> statvfs_of(const ImageFile& image) {
  struct statvfs host = {};
  if (fstatvfs(image.home->get(), &host) != 0) {
    return system_error("the image's directory", "cannot statfs", errno);
  }
  host.f_namemax = 255;
  return host;
}

std::string xattr_names(const Served& served, const Node& node) {
  std::string names;
  if (node.kind != Node::Kind::disk) return names;
  const Layout::Request reading(served.container.layout());
  for (const Attribute& attribute : kAttributes) {
    if (attribute.value(served.disk(node))) names.append(attribute.name).push_back('\0');
  }
  return names;
}

std::optional<std::string> xattr(const Served& served, const Node& node, std::string_view name) {
  if (node.kind != Node::Kind::disk) return std::nullopt;
  const Layout::Request reading(served.container.layout());
  for (const Attribute& attribute : kAttributes) {
    if (attribute.name == name) return attribute.value(served.disk(node));
  }
  return std::nullopt;
}

}  // namespace platter::fusefs
