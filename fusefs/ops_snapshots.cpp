#include <cerrno>
#include <string_view>

#include "fusefs/attributes.h"
#include "fusefs/ops.h"
#include "fusefs/ops_unopened.h"
#include "fusefs/reply.h"
#include "lib/base/log.h"
#include "lib/container/choose_snapshot.h"
#include "lib/container/state_names.h"

namespace platter::fusefs {
namespace {

// Of the directory snapshots/: to set it to a snapshot's id or name makes the disk what that is.
constexpr std::string_view kApply = "user.platter.apply";

// What a change of the snapshots failed with, told in the log as well.
int errno_of(const Served& served, Error error) {
  const Error full = std::move(error).within(served.container.chain().front().path);
  log::warning("{}", full.message());
  // EEXIST and its like are what the caller is to hear.
  if (full.code() == Errc::invalid && full.sys_errno() != 0) return full.sys_errno();
  if (full.code() == Errc::unsupported) return EOPNOTSUPP;
  return errno_for(full);
}

// 0: snapshots can be made, deleted and renamed in that directory.
int expect_changeable(const Served& served, const Node& directory) {
  if (served.container.writer() == nullptr) return EROFS;
  if (directory.kind != Node::Kind::snapshots) return EPERM;
  if (can_change_names(served, directory)) return 0;
  log::warning("{}: {} images have no snapshots inside", served.container.chain().front().path,
               served.container.chain().front().format->name());
  return EOPNOTSUPP;
}

std::optional<Node> find_state(const Served& served, const char* name) {
  return served.tree.find(served.tree.of_disk(Node::Kind::snapshots), name, {});
}

// The request about the snapshot of that node; empty: it is a parent's, which stays as it is.
std::optional<SnapshotRequest> request_about(const Served& served, const Node& node,
                                             SnapshotRequest::What what) {
  const Layout::Request reading(served.container.layout());
  const State& state = *served.disk(node).state();
  if (state.kind != State::Kind::snapshot) return std::nullopt;
  return SnapshotRequest{.what = what, .id = state.snapshot.id, .name = {}};
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t /*mode*/) {
  with_node(
      request, parent,
      [&](Served& served, const Node& directory) {
        if (const int refusal = expect_changeable(served, directory)) {
          return void(fuse_reply_err(request, refusal));
        }
        if (find_state(served, name)) return void(fuse_reply_err(request, EEXIST));
        const std::optional<std::string> wanted = unescape_entry(name);
        if (!wanted) return void(fuse_reply_err(request, EINVAL));
        Result<void> made =
            served.change_snapshots({.what = SnapshotRequest::What::create, .name = *wanted});
        if (!made) return void(fuse_reply_err(request, errno_of(served, std::move(made.error()))));
        const std::optional<Node> node = find_state(served, name);
        if (!node) return void(fuse_reply_err(request, ENOENT));
        const Result<fuse_entry_param> entry = entry_for(served, directory, *node);
        if (!entry) return reply_error(request, entry.error());
        fuse_reply_entry(request, &*entry);
      },
      refuse_unopened);
}

// Nobody has it open, nor gets it open any more.
int remove_state(Served& served, const Node& node) {
  const auto wanted = request_about(served, node, SnapshotRequest::What::remove);
  if (!wanted) return EPERM;
  Disk& disk = served.disk(node);
  disk.set_going(true);
  int refusal = served.open_files.has(disk) ? EBUSY : 0;
  if (refusal == 0) {
    Result<void> removed = served.change_snapshots(*wanted);
    if (!removed) refusal = errno_of(served, std::move(removed.error()));
  }
  if (refusal != 0) disk.set_going(false);
  return refusal;
}

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  with_node(
      request, parent,
      [&](Served& served, const Node& directory) {
        int refusal = expect_changeable(served, directory);
        if (refusal == 0) {
          const std::optional<Node> node = find_state(served, name);
          refusal = node ? remove_state(served, *node) : ENOENT;
        }
        fuse_reply_err(request, refusal);
      },
      refuse_unopened);
}

int rename_state(Served& served, const char* name, const char* new_name) {
  const std::optional<Node> node = find_state(served, name);
  if (!node) return ENOENT;
  auto wanted = request_about(served, *node, SnapshotRequest::What::rename);
  if (!wanted) return EPERM;
  if (find_state(served, new_name)) return EEXIST;
  const std::optional<std::string> unescaped = unescape_entry(new_name);
  if (!unescaped) return EINVAL;
  wanted->name = *unescaped;
  Result<void> renamed = served.change_snapshots(*wanted);
  return renamed ? 0 : errno_of(served, std::move(renamed.error()));
}

void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned flags) {
  with_node(
      request, parent,
      [&](Served& served, const Node& directory) {
        int refusal = expect_changeable(served, directory);
        if (refusal == 0 && new_parent != parent) refusal = EPERM;
        if (refusal == 0 && (flags & ~static_cast<unsigned>(RENAME_NOREPLACE)) != 0)
          refusal = EINVAL;
        fuse_reply_err(request, refusal != 0 ? refusal : rename_state(served, name, new_name));
      },
      refuse_unopened);
}

Result<void> apply_named(Served& served, std::string_view name) {
  SnapshotRequest wanted{.what = SnapshotRequest::What::apply, .id = 0, .name = {}};
  {
    const Layout::Request reading(served.container.layout());
    const Image& image = *served.container.chain().front().image;
    wanted.id = TRY(choose_snapshot(image.snapshots(), name, NamedBy::id_or_name)).id;
  }
  return served.change_snapshots(wanted);
}

void apply(fuse_req_t request, Served& served, std::string_view name) {
  Result<void> applied = apply_named(served, name);
  if (!applied) return void(fuse_reply_err(request, errno_of(served, std::move(applied.error()))));
  served.disk({}).changed({0, served.disk({}).size()});
  // All of the file, to wherever it ends.
  served.by.notifier->hand_over({inode_of(served.tree.of_disk(Node::Kind::disk)),
                                 {0, 0},
                                 [request] { fuse_reply_err(request, 0); }});
}

void setxattr(fuse_req_t request, fuse_ino_t inode, const char* name, const char* value,
              size_t size, int /*flags*/) {
  with_node(
      request, inode,
      [&](Served& served, const Node& node) {
        if (served.container.writer() == nullptr) return void(fuse_reply_err(request, EROFS));
        if (!can_change_names(served, node) || name != kApply) {
          return void(fuse_reply_err(request, EOPNOTSUPP));
        }
        apply(request, served, {value, size});
      },
      refuse_unopened);
}

}  // namespace

void add_snapshot_ops(fuse_lowlevel_ops& ops) {
  ops.mkdir = mkdir;
  ops.rmdir = rmdir;
  ops.rename = rename;
  ops.setxattr = setxattr;
}

}  // namespace platter::fusefs
