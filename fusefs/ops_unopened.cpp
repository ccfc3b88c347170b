#include "fusefs/ops_unopened.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "fusefs/attributes.h"

namespace platter::fusefs {
namespace {

// Images come, go and are opened meanwhile.
constexpr double kTimeout = 1;  // seconds

constexpr const char* kErrorName = "error.txt";

bool is_root(const Node& node) { return node.container == 0; }

Result<FileStat> host_stat(const ImageFile& image) {
  struct stat st = {};
  const std::string name =
      image.archive.empty() ? image.path.substr(image.path.rfind('/') + 1) : image.archive;
  const int links = image.named ? 0 : AT_SYMLINK_NOFOLLOW;
  if (fstatat(image.home->get(), name.c_str(), &st, links) != 0) {
    return system_error(image.path, "cannot look at it", errno);
  }
  return FileStat{.size = static_cast<uint64_t>(st.st_size),
                  .mtime_ns = st.st_mtim.tv_sec * int64_t{1000000000} + st.st_mtim.tv_nsec,
                  .mode = st.st_mode & 07777U,
                  .uid = st.st_uid,
                  .gid = st.st_gid};
}

// The root is as old as the mount, and of who mounts.
FileStat root_stat(const Gallery& gallery) {
  return {
      .mtime_ns = gallery.by().since * 1000000000, .mode = 0444, .uid = getuid(), .gid = getgid()};
}

Result<struct stat> attributes(const Gallery& gallery, const Node& node) {
  if (is_root(node)) return stat_of(gallery.by(), root_stat(gallery), node, false);
  const Result<FileStat> host = host_stat(gallery.image(node));
  // An image that is gone still has its directory, where the error says so.
  struct stat st = stat_of(gallery.by(), host ? *host : root_stat(gallery), node, false);
  if (node.kind == Node::Kind::error) {
    st.st_size = static_cast<off_t>(gallery.error(node).size());
    st.st_blocks = 1;
  }
  return st;
}

std::optional<Node> find(const Gallery& gallery, const Node& directory, const char* name) {
  if (is_root(directory)) return gallery.find(name);
  if (strcmp(name, kErrorName) != 0) return std::nullopt;
  return Node{.kind = Node::Kind::error, .container = directory.container};
}

std::optional<Tree::Entry> entry_at(const Gallery& gallery, const Node& directory, uint64_t index) {
  if (index == 0) return Tree::Entry{".", directory, 1};
  if (index == 1) return Tree::Entry{"..", Tree::parent(directory), 2};
  index -= 2;
  if (is_root(directory)) {
    if (index >= gallery.size()) return std::nullopt;
    return Tree::Entry{gallery.image(index).name, Gallery::directory_of(index), index + 3};
  }
  if (index > 0) return std::nullopt;
  return Tree::Entry{
      kErrorName, {.kind = Node::Kind::error, .container = directory.container}, index + 3};
}

}  // namespace

bool stands_outside(const Gallery& gallery, fuse_ino_t inode) {
  const std::optional<Node> node = node_of(inode);
  return gallery.has_directory() && node && node->kind == Node::Kind::state && node->disk == 0 &&
         node->container <= gallery.size();
}

void lookup_unopened(fuse_req_t request, const Node& node, const char* name) {
  const Gallery& gallery = gallery_of(request);
  fuse_entry_param entry = {};
  entry.entry_timeout = entry.attr_timeout = kTimeout;
  if (const std::optional<Node> found = find(gallery, node, name)) {
    const Result<struct stat> st = attributes(gallery, *found);
    if (!st) return reply_error(request, st.error());
    entry.ino = inode_of(*found);
    entry.attr = *st;
  }
  fuse_reply_entry(request, &entry);
}

void list_unopened(fuse_req_t request, const Node& node, size_t size, off_t offset) {
  const Gallery& gallery = gallery_of(request);
  reply_listing(request, size, offset,
                [&](uint64_t index) { return entry_at(gallery, node, index); });
}

void open_unopened(fuse_req_t request, const Node& node, fuse_file_info* file) {
  if (node.is_directory()) return void(fuse_reply_err(request, EISDIR));
  if ((file->flags & O_ACCMODE) != O_RDONLY) return refuse_unopened(request, node);
  Gallery& gallery = gallery_of(request);
  auto text = std::make_unique<OpenFile>();
  text->text = gallery.error(node);
  const OpenFile& added = gallery.texts().add(std::move(text));
  file->direct_io = 1;
  file->fh = reinterpret_cast<uintptr_t>(&added);
  if (fuse_reply_open(request, file) == -ENOENT) gallery.texts().remove(added);
}

void stat_unopened(fuse_req_t request, const Node& node) {
  const Result<struct stat> st = attributes(gallery_of(request), node);
  if (!st) return reply_error(request, st.error());
  fuse_reply_attr(request, &*st, kTimeout);
}

std::optional<std::string> attribute_unopened(const Gallery& gallery, fuse_ino_t inode,
                                              std::string_view name) {
  const bool root = inode == FUSE_ROOT_ID;
  if (root && name == "user.platter.pid") return std::to_string(getpid());
  if (root && name == "user.platter.written") {
    std::string names;
    for (const std::string& written : gallery.written()) names.append(written).push_back('\0');
    return names;
  }
  if (name != "user.platter.file" || gallery.has_directory() == root) return std::nullopt;
  if (!root && !stands_outside(gallery, inode)) return std::nullopt;
  return gallery.image(*node_of(inode)).path;
}

void refuse_unopened(fuse_req_t request, const Node& /*node*/) {
  fuse_reply_err(request, gallery_of(request).writable() ? EPERM : EROFS);
}

}  // namespace platter::fusefs
