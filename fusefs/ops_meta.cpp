#include <cerrno>
#include <cstring>
#include <vector>

#include "fusefs/attributes.h"
#include "fusefs/ops.h"
#include "fusefs/reply.h"

namespace platter::fusefs {
namespace {

// Names and attributes of what nobody writes do not change; only info.json's size does.
constexpr double kForever = 86400;  // seconds

// Partitions come and go with what is written into the table, and snapshots with mkdir and rmdir.
double entry_timeout(const Served& served, const Node& directory) {
  const bool live =
      directory.kind == Node::Kind::partitions && served.disk(directory).writer() != nullptr;
  return live || can_change_names(served, directory) ? 0 : kForever;
}

// The partitions a look into the directory needs: none unless it is partitions/.
Result<PartitionsPtr> partitions_for(const Served& served, const Node& directory) {
  if (directory.kind == Node::Kind::partitions) return served.disk(directory).partitions();
  static const auto none = std::make_shared<const std::vector<Partition>>();
  return none;
}

void init(void* userdata, fuse_conn_info* connection) {
  // Copied replies need less CPU time than spliced ones, for small and large ones alike.
  connection->want &=
      ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
  connection->want |=
      connection->capable & static_cast<unsigned>(FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
                                                  FUSE_CAP_ATOMIC_O_TRUNC);
  connection->max_read = MiB;
  connection->max_write = MiB;
  connection->max_readahead = MiB;
  connection->max_background = 64;
  connection->congestion_threshold = 48;
  auto& served = *static_cast<Served*>(userdata);
  if (served.on_init) served.on_init();
}

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  guarded(request, [&] {
    const Served& served = served_by(request);
    const std::optional<Node> directory = served.tree.node(parent);
    if (!directory || !directory->is_directory()) return void(fuse_reply_err(request, ENOENT));
    const Result<PartitionsPtr> partitions = partitions_for(served, *directory);
    if (!partitions) return reply_error(request, partitions.error());
    const std::optional<Node> node = served.tree.find(*directory, name, **partitions);
    if (node) {
      const Result<fuse_entry_param> entry = entry_for(served, *directory, *node);
      if (!entry) return reply_error(request, entry.error());
      fuse_reply_entry(request, &*entry);
      return;
    }
    fuse_entry_param none = {};
    none.entry_timeout = entry_timeout(served, *directory);
    fuse_reply_entry(request, &none);
  });
}

void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info* /*file*/) {
  guarded(request, [&] {
    const Served& served = served_by(request);
    const std::optional<Node> node = served.tree.node(inode);
    if (!node) return void(fuse_reply_err(request, ENOENT));
    const Result<struct stat> st = stat_of(served, *node);
    if (!st) return reply_error(request, st.error());
    fuse_reply_attr(request, &*st, attribute_timeout(served, *node));
  });
}

void opendir(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
  guarded(request, [&] {
    const Served& served = served_by(request);
    const std::optional<Node> node = served.tree.node(inode);
    if (!node) return void(fuse_reply_err(request, ENOENT));
    const Result<PartitionsPtr> partitions = partitions_for(served, *node);
    if (!partitions) return reply_error(request, partitions.error());
    file->cache_readdir = entry_timeout(served, *node) > 0;
    file->keep_cache = file->cache_readdir;
    fuse_reply_open(request, file);
  });
}

// Entry 0 is ".", 1 is "..", the others are the tree's, two on.
std::optional<Tree::Entry> entry_at(const Served& served, const Node& directory, uint64_t index,
                                    const std::vector<Partition>& partitions) {
  if (index == 0) return Tree::Entry{".", directory, 1};
  if (index == 1) return Tree::Entry{"..", Tree::parent(directory), 2};
  std::optional<Tree::Entry> entry = served.tree.entry(directory, index - 2, partitions);
  if (entry) entry->next += 2;
  return entry;
}

void readdir(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
             fuse_file_info* /*file*/) {
  guarded(request, [&] {
    const Served& served = served_by(request);
    const std::optional<Node> node = served.tree.node(inode);
    if (!node || !node->is_directory()) return void(fuse_reply_err(request, ENOTDIR));
    const Result<PartitionsPtr> partitions = partitions_for(served, *node);
    if (!partitions) return reply_error(request, partitions.error());
    std::vector<char> listing(std::min<size_t>(size, MiB));
    size_t used = 0;
    for (auto index = static_cast<uint64_t>(offset);;) {
      const auto entry = entry_at(served, *node, index, **partitions);
      if (!entry) break;
      struct stat st = {};
      st.st_ino = inode_of(entry->node);
      st.st_mode = entry->node.is_directory() ? S_IFDIR : S_IFREG;
      const size_t length =
          fuse_add_direntry(request, listing.data() + used, listing.size() - used,
                            entry->name.c_str(), &st, static_cast<off_t>(entry->next));
      if (length > listing.size() - used) break;
      used += length;
      index = entry->next;
    }
    fuse_reply_buf(request, listing.data(), used);
  });
}

void statfs(fuse_req_t request, fuse_ino_t /*inode*/) {
  guarded(request, [&] {
    const Result<struct statvfs> host = statvfs_of(served_by(request));
    if (!host) return reply_error(request, host.error());
    fuse_reply_statfs(request, &*host);
  });
}

// size 0 asks how much there is.
void reply_attribute(fuse_req_t request, const std::string& value, size_t size) {
  if (size == 0) {
    fuse_reply_xattr(request, value.size());
  } else if (size < value.size()) {
    fuse_reply_err(request, ERANGE);
  } else {
    fuse_reply_buf(request, value.data(), value.size());
  }
}

void getxattr(fuse_req_t request, fuse_ino_t inode, const char* name, size_t size) {
  guarded(request, [&] {
    Served& served = served_by(request);
    served.write_counters.attributes.fetch_add(1, std::memory_order_relaxed);
    const std::optional<Node> node = served.tree.node(inode);
    if (!node) return void(fuse_reply_err(request, ENOENT));
    const std::optional<std::string> value = xattr(served, *node, name);
    if (!value) return void(fuse_reply_err(request, ENODATA));
    reply_attribute(request, *value, size);
  });
}

void listxattr(fuse_req_t request, fuse_ino_t inode, size_t size) {
  guarded(request, [&] {
    const Served& served = served_by(request);
    const std::optional<Node> node = served.tree.node(inode);
    if (!node) return void(fuse_reply_err(request, ENOENT));
    reply_attribute(request, xattr_names(served, *node), size);
  });
}

}  // namespace

Result<fuse_entry_param> entry_for(const Served& served, const Node& directory, const Node& node) {
  fuse_entry_param entry = {};
  entry.entry_timeout = entry_timeout(served, directory);
  entry.ino = inode_of(node);
  entry.attr = TRY(stat_of(served, node));
  entry.attr_timeout = attribute_timeout(served, node);
  return entry;
}

double attribute_timeout(const Served& served, const Node& node) {
  if (node.kind == Node::Kind::info) return 0;
  // Time, space and what a partition is change with what is written.
  return served.disk(node).writer() != nullptr ? 0 : kForever;
}

void add_meta_ops(fuse_lowlevel_ops& ops) {
  ops.init = init;
  ops.lookup = lookup;
  ops.getattr = getattr;
  ops.opendir = opendir;
  ops.readdir = readdir;
  ops.statfs = statfs;
  ops.getxattr = getxattr;
  ops.listxattr = listxattr;
}

fuse_lowlevel_ops filesystem_ops() {
  fuse_lowlevel_ops ops = {};
  add_meta_ops(ops);
  add_io_ops(ops);
  add_write_ops(ops);
  add_snapshot_ops(ops);
  return ops;
}

}  // namespace platter::fusefs
