#include <cerrno>
#include <cstring>
#include <vector>

#include "fusefs/attributes.h"
#include "fusefs/ops.h"
#include "fusefs/ops_unopened.h"
#include "fusefs/reply.h"

namespace platter::fusefs {
namespace {

// Names and attributes of what nobody writes do not change; only info.json's size does.
constexpr double kForever = 86400;  // seconds
// But an image that is closed in between may be another one when it is opened again.
constexpr double kWhileUsed = 1;

double long_timeout(const Served& served) { return served.by.lasting ? kForever : kWhileUsed; }

// Partitions come and go with what is written into the table, and snapshots with mkdir and rmdir.
double entry_timeout(const Served& served, const Node& directory) {
  const bool live =
      directory.kind == Node::Kind::partitions && served.disk(directory).writer() != nullptr;
  return live || can_change_names(served, directory) ? 0 : long_timeout(served);
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
  auto& gallery = *static_cast<Gallery*>(userdata);
  if (gallery.on_init) gallery.on_init();
}

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  with_node(
      request, parent,
      [&](Served& served, const Node& directory) {
        if (!directory.is_directory()) return void(fuse_reply_err(request, ENOENT));
        const Result<PartitionsPtr> partitions = partitions_for(served, directory);
        if (!partitions) return reply_error(request, partitions.error());
        const std::optional<Node> node = served.tree.find(directory, name, **partitions);
        if (node) {
          const Result<fuse_entry_param> entry = entry_for(served, directory, *node);
          if (!entry) return reply_error(request, entry.error());
          fuse_reply_entry(request, &*entry);
          return;
        }
        fuse_entry_param none = {};
        none.entry_timeout = entry_timeout(served, directory);
        fuse_reply_entry(request, &none);
      },
      [&](fuse_req_t, const Node& directory) { lookup_unopened(request, directory, name); });
}

void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info* /*file*/) {
  if (stands_outside(gallery_of(request), inode)) {
    return guarded(request, [&] { stat_unopened(request, *node_of(inode)); });
  }
  with_node(
      request, inode,
      [&](Served& served, const Node& node) {
        const Result<struct stat> st = stat_of(served, node);
        if (!st) return reply_error(request, st.error());
        fuse_reply_attr(request, &*st, attribute_timeout(served, node));
      },
      stat_unopened);
}

void opendir(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
  // df opens what it is asked about, and reads nothing of it.
  if (stands_outside(gallery_of(request), inode)) return void(fuse_reply_open(request, file));
  with_node(
      request, inode,
      [&](Served& served, const Node& node) {
        const Result<PartitionsPtr> partitions = partitions_for(served, node);
        if (!partitions) return reply_error(request, partitions.error());
        file->cache_readdir = served.by.lasting && entry_timeout(served, node) > 0;
        file->keep_cache = file->cache_readdir;
        fuse_reply_open(request, file);
      },
      [&](fuse_req_t, const Node&) { fuse_reply_open(request, file); });
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
  with_node(
      request, inode,
      [&](Served& served, const Node& node) {
        if (!node.is_directory()) return void(fuse_reply_err(request, ENOTDIR));
        const Result<PartitionsPtr> partitions = partitions_for(served, node);
        if (!partitions) return reply_error(request, partitions.error());
        reply_listing(request, size, offset,
                      [&](uint64_t index) { return entry_at(served, node, index, **partitions); });
      },
      [&](fuse_req_t, const Node& node) { list_unopened(request, node, size, offset); });
}

void statfs(fuse_req_t request, fuse_ino_t inode) {
  guarded(request, [&] {
    const std::optional<Node> node = node_of(inode);
    const Result<struct statvfs> host =
        statvfs_of(gallery_of(request).image(node.value_or(Node{})));
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

bool is_disk(fuse_ino_t inode) {
  const std::optional<Node> node = node_of(inode);
  return node && node->kind == Node::Kind::disk;
}

void no_such_file(fuse_req_t request, const Node& /*node*/) { fuse_reply_err(request, ENOENT); }

void getxattr(fuse_req_t request, fuse_ino_t inode, const char* name, size_t size) {
  if (const auto known = attribute_unopened(gallery_of(request), inode, name)) {
    return reply_attribute(request, *known, size);
  }
  // Only disks have any: nothing is opened to say that others have none.
  if (!is_disk(inode)) return void(fuse_reply_err(request, ENODATA));
  with_node(
      request, inode,
      [&](Served& served, const Node& node) {
        served.write_counters.attributes.fetch_add(1, std::memory_order_relaxed);
        const std::optional<std::string> value = xattr(served, node, name);
        if (!value) return void(fuse_reply_err(request, ENODATA));
        reply_attribute(request, *value, size);
      },
      no_such_file);
}

void listxattr(fuse_req_t request, fuse_ino_t inode, size_t size) {
  if (!is_disk(inode)) return reply_attribute(request, {}, size);
  with_node(
      request, inode,
      [&](Served& served, const Node& node) {
        reply_attribute(request, xattr_names(served, node), size);
      },
      no_such_file);
}

}  // namespace

void reply_listing(fuse_req_t request, size_t size, off_t offset,
                   const std::function<std::optional<Tree::Entry>(uint64_t)>& entry_at) {
  std::vector<char> listing(std::min<size_t>(size, MiB));
  size_t used = 0;
  for (auto index = static_cast<uint64_t>(offset);;) {
    const auto entry = entry_at(index);
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
}

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
  return served.disk(node).writer() != nullptr ? 0 : long_timeout(served);
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
