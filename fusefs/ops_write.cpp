#include <fcntl.h>
#include <linux/falloc.h>

#include <cerrno>
#include <utility>

#include "fusefs/attributes.h"
#include "fusefs/ops.h"
#include "fusefs/reply.h"
#include "lib/base/checked.h"
#include "lib/base/log.h"

namespace platter::fusefs {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// Bytes of the disk changed through file: replies once nobody can see the old ones any more.
void reply_changed(Served& served, const OpenFile& file, const Range& range,
                   std::function<void()> reply) {
  file.written->changed(range);
  // What the kernel caches it has changed itself.
  if (file.cached || !served.disk_opened) return reply();
  served.notifier->hand_over({inode_of({.kind = Node::Kind::disk}), range, std::move(reply)});
}

void write(fuse_req_t request, fuse_ino_t /*inode*/, const char* data, size_t size, off_t offset,
           fuse_file_info* file) {
  guarded(request, [&] {
    Served& served = served_by(request);
    const OpenFile& open_file = opened(file);
    if (open_file.written == nullptr) return void(fuse_reply_err(request, EROFS));
    served.write_counters.writes.fetch_add(1, kRelaxed);
    const Range part =
        intersect({static_cast<uint64_t>(offset), size}, {0, open_file.window.length});
    // The disk ends here: what is left of the write is cut off there.
    if (part.empty()) {
      if (size != 0) return void(fuse_reply_err(request, ENOSPC));
      return void(fuse_reply_write(request, 0));
    }
    const Range on_disk{open_file.window.offset + part.offset, part.length};
    const Result<void> written = open_file.written->writer()->write(
        on_disk.offset, std::as_bytes(std::span(data, part.length)));
    if (!written) return reply_error(request, written.error());
    served.write_counters.bytes_written.fetch_add(part.length, kRelaxed);
    reply_changed(served, open_file, on_disk,
                  [=] { fuse_reply_write(request, static_cast<size_t>(part.length)); });
  });
}

// What fallocate() asks for. 0: nothing is to be done.
int check_fallocate(const Range& wanted, uint64_t length, int mode) {
  constexpr int kKnown = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
  if ((mode & ~kKnown) != 0) return EOPNOTSUPP;
  const bool zeroes = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
  // Zeroing what is beyond the end without growing the file has no effect there.
  if (zeroes && (mode & FALLOC_FL_KEEP_SIZE) != 0) return 0;
  return fits(wanted.offset, wanted.length, length) ? 0 : ENOSPC;
}

void fallocate(fuse_req_t request, fuse_ino_t /*inode*/, int mode, off_t offset, off_t length,
               fuse_file_info* file) {
  guarded(request, [&] {
    Served& served = served_by(request);
    const OpenFile& open_file = opened(file);
    if (open_file.written == nullptr) return void(fuse_reply_err(request, EROFS));
    if (offset < 0 || length <= 0) return void(fuse_reply_err(request, EINVAL));
    const Range wanted{static_cast<uint64_t>(offset), static_cast<uint64_t>(length)};
    const int refusal = check_fallocate(wanted, open_file.window.length, mode);
    const Range part = intersect(wanted, {0, open_file.window.length});
    const bool punch = (mode & FALLOC_FL_PUNCH_HOLE) != 0;
    // Space inside a disk is there, or is found when it is written to.
    if (refusal != 0 || part.empty() || (!punch && (mode & FALLOC_FL_ZERO_RANGE) == 0)) {
      return void(fuse_reply_err(request, refusal));
    }
    served.write_counters.zeroes.fetch_add(1, kRelaxed);
    Writer& writer = *open_file.written->writer();
    const Range on_disk{open_file.window.offset + part.offset, part.length};
    const Result<void> done =
        punch ? writer.discard(on_disk) : writer.zero(on_disk, File::Zero::keep_space);
    if (!done) return reply_error(request, done.error());
    reply_changed(served, open_file, on_disk, [=] { fuse_reply_err(request, 0); });
  });
}

// Whatever file of the mount it is asked of: a flush covers all of them.
void flush_all(fuse_req_t request) {
  Served& served = served_by(request);
  Writer* const writer = served.container.writer();
  if (writer == nullptr) return void(fuse_reply_err(request, 0));
  served.write_counters.flushes.fetch_add(1, kRelaxed);
  const Result<void> flushed = writer->flush();
  if (!flushed) return reply_error(request, flushed.error());
  fuse_reply_err(request, 0);
}

void fsync(fuse_req_t request, fuse_ino_t /*inode*/, int /*data_only*/, fuse_file_info* /*file*/) {
  guarded(request, [&] { flush_all(request); });
}

// Each close() of a descriptor; which of them is the last the kernel does not say.
void flush(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info* file) {
  guarded(request, [&] {
    // ENOSYS: it need not ask again.
    if (served_by(request).container.writer() == nullptr) {
      return void(fuse_reply_err(request, ENOSYS));
    }
    if (opened(file).written == nullptr) return void(fuse_reply_err(request, 0));
    flush_all(request);
  });
}

// What may not change may be "changed" to what it is.
int check_attributes(const struct stat& now, const struct stat& wanted, int which) {
  const bool size = (which & FUSE_SET_ATTR_SIZE) != 0 && wanted.st_size != now.st_size;
  const bool mode =
      (which & FUSE_SET_ATTR_MODE) != 0 && (wanted.st_mode & 07777U) != (now.st_mode & 07777U);
  const bool owner = (which & FUSE_SET_ATTR_UID) != 0 && wanted.st_uid != now.st_uid;
  const bool group = (which & FUSE_SET_ATTR_GID) != 0 && wanted.st_gid != now.st_gid;
  return size || mode || owner || group ? EPERM : 0;
}

void setattr(fuse_req_t request, fuse_ino_t inode, struct stat* wanted, int which,
             fuse_file_info* /*file*/) {
  guarded(request, [&] {
    const Served& served = served_by(request);
    const std::optional<Node> node = served.tree.node(inode);
    if (!node) return void(fuse_reply_err(request, ENOENT));
    if (writer_of(served, *node) == nullptr) return void(fuse_reply_err(request, EROFS));
    const Result<struct stat> st = stat_of(served, *node);
    if (!st) return reply_error(request, st.error());
    // The times are the image's, and stay that.
    if (const int refusal = check_attributes(*st, *wanted, which)) {
      return void(fuse_reply_err(request, refusal));
    }
    fuse_reply_attr(request, &*st, attribute_timeout(served, *node));
  });
}

// Names are made, removed and changed nowhere. A read-only mount says so itself.
template <int kError, class... Arguments>
void refuse(fuse_req_t request, Arguments... /*arguments*/) {
  const bool writable = served_by(request).container.writer() != nullptr;
  fuse_reply_err(request, writable ? kError : EROFS);
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* /*name*/, mode_t /*mode*/) {
  guarded(request, [&] {
    const Served& served = served_by(request);
    if (served.container.writer() == nullptr) return void(fuse_reply_err(request, EROFS));
    const std::optional<Node> node = served.tree.node(parent);
    if (!node || node->kind != Node::Kind::snapshots) return void(fuse_reply_err(request, EPERM));
    log::warning("{}: no snapshot is taken: {} images have none inside",
                 served.container.chain().front().path, served.container.info().format);
    fuse_reply_err(request, EOPNOTSUPP);
  });
}

}  // namespace

void add_write_ops(fuse_lowlevel_ops& ops) {
  ops.write = write;
  ops.fallocate = fallocate;
  ops.fsync = fsync;
  ops.fsyncdir = fsync;
  ops.flush = flush;
  ops.setattr = setattr;
  ops.mkdir = mkdir;
  ops.mknod = refuse<EPERM>;
  ops.unlink = refuse<EPERM>;
  ops.rmdir = refuse<EPERM>;
  ops.symlink = refuse<EPERM>;
  ops.rename = refuse<EPERM>;
  ops.link = refuse<EPERM>;
  ops.create = refuse<EPERM>;
  ops.setxattr = refuse<EOPNOTSUPP>;
  ops.removexattr = refuse<EOPNOTSUPP>;
}

}  // namespace platter::fusefs
