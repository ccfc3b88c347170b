#include <fcntl.h>
#include <linux/falloc.h>

#include <cerrno>
#include <utility>

#include "fusefs/attributes.h"
#include "fusefs/ops.h"
#include "fusefs/ops_unopened.h"
#include "fusefs/reply.h"
#include "lib/base/checked.h"
#include "lib/base/log.h"

namespace platter::fusefs {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// Bytes of the disk changed through file: replies once nobody can see the old ones any more.
void reply_changed(Served& served, const OpenFile& file, const Range& range,
                   std::function<void()> reply) {
  file.disk->changed(range);
  // What the kernel caches it has changed itself.
  if (file.cached || !served.disk_opened) return reply();
  served.by.notifier->hand_over(
      {inode_of(served.tree.of_disk(Node::Kind::disk)), range, std::move(reply)});
}

void write(fuse_req_t request, fuse_ino_t /*inode*/, const char* data, size_t size, off_t offset,
           fuse_file_info* file) {
  guarded(request, [&] {
    const OpenFile& open_file = opened(file);
    if (!open_file.writing) return void(fuse_reply_err(request, EROFS));
    const auto held = hold(open_file);
    Served& served = *open_file.served;
    served.write_counters.writes.fetch_add(1, kRelaxed);
    const Stopwatch stopwatch(served.write_counters.write_ns);
    const Range window = open_file.window(open_file.disk->size());
    const Range part = intersect({static_cast<uint64_t>(offset), size}, {0, window.length});
    // The disk ends here: what is left of the write is cut off there.
    if (part.empty()) {
      if (size != 0) return void(fuse_reply_err(request, ENOSPC));
      return void(fuse_reply_write(request, 0));
    }
    const Range on_disk{window.offset + part.offset, part.length};
    const Result<void> written = open_file.disk->writer()->write(
        on_disk.offset, std::as_bytes(std::span(data, part.length)));
    if (!written) return reply_error(request, written.error());
    served.write_counters.bytes_written.fetch_add(part.length, kRelaxed);
    reply_changed(served, open_file, on_disk,
                  [=] { fuse_reply_write(request, static_cast<size_t>(part.length)); });
  });
}

// 0: the live disk has at least that size now.
int grow(const Served& served, uint64_t size) {
  Result<void> grown = served.container.writer()->grow(size);
  if (grown) return 0;
  const Error error = std::move(grown.error()).within(served.container.chain().front().path);
  log::warning("{}: not made larger, to {} bytes", error.message(), size);
  // As truncate(2) has it: not this file, or not that large.
  if (error.code() == Errc::unsupported) return EPERM;
  if (error.code() == Errc::invalid || error.sys_errno() == EFBIG) return EFBIG;
  return errno_for(error);
}

// Makes room for what fallocate() asks for; 0: it is inside the disk, or need not be.
int make_room(const Served& served, const OpenFile& file, const Range& wanted, int mode) {
  constexpr int kKnown = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
  if ((mode & ~kKnown) != 0) return EOPNOTSUPP;
  const bool zeroes = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
  const bool keep_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  // Zeroing what is beyond the end without growing the file has no effect there.
  if (zeroes && keep_size) return 0;
  if (fits(wanted.offset, wanted.length, file.window(file.disk->size()).length)) return 0;
  if (keep_size || file.partition || !served.by.resize) return ENOSPC;
  return grow(served, wanted.end());
}

Result<void> zero(const OpenFile& file, const Range& range, bool punch) {
  Writer& writer = *file.disk->writer();
  return punch ? writer.discard(range) : writer.zero(range, File::Zero::keep_space);
}

void fallocate(fuse_req_t request, fuse_ino_t /*inode*/, int mode, off_t offset, off_t length,
               fuse_file_info* file) {
  guarded(request, [&] {
    const OpenFile& open_file = opened(file);
    if (!open_file.writing) return void(fuse_reply_err(request, EROFS));
    const auto held = hold(open_file);
    Served& served = *open_file.served;
    if (offset < 0 || length <= 0) return void(fuse_reply_err(request, EINVAL));
    const Range wanted{static_cast<uint64_t>(offset), static_cast<uint64_t>(length)};
    const int refusal = make_room(served, open_file, wanted, mode);
    const Range window = open_file.window(open_file.disk->size());
    const Range part = intersect(wanted, {0, window.length});
    const bool punch = (mode & FALLOC_FL_PUNCH_HOLE) != 0;
    // Space inside a disk is there, or is found when it is written to.
    if (refusal != 0 || part.empty() || (!punch && (mode & FALLOC_FL_ZERO_RANGE) == 0)) {
      return void(fuse_reply_err(request, refusal));
    }
    served.write_counters.zeroes.fetch_add(1, kRelaxed);
    const Range on_disk{window.offset + part.offset, part.length};
    const Result<void> done = zero(open_file, on_disk, punch);
    if (!done) return reply_error(request, done.error());
    reply_changed(served, open_file, on_disk, [=] { fuse_reply_err(request, 0); });
  });
}

// Whatever file of the container it is asked of: a flush covers all of them.
void flush_all(fuse_req_t request, Served& served) {
  Writer* const writer = served.container.writer();
  if (writer == nullptr) return void(fuse_reply_err(request, 0));
  served.write_counters.flushes.fetch_add(1, kRelaxed);
  const Result<void> flushed = writer->flush();
  if (!flushed) return reply_error(request, flushed.error());
  fuse_reply_err(request, 0);
}

void fsync(fuse_req_t request, fuse_ino_t /*inode*/, int /*data_only*/, fuse_file_info* file) {
  guarded(request, [&] {
    const auto held = hold(opened(file));
    Served* const served = opened(file).served;
    if (served == nullptr) return void(fuse_reply_err(request, 0));
    flush_all(request, *served);
  });
}

void fsyncdir(fuse_req_t request, fuse_ino_t inode, int /*data_only*/, fuse_file_info* /*file*/) {
  with_node(
      request, inode, [&](Served& served, const Node&) { flush_all(request, served); },
      [](fuse_req_t asked, const Node&) {
        const Result<void> flushed = gallery_of(asked).flush();
        if (!flushed) return reply_error(asked, flushed.error());
        fuse_reply_err(asked, 0);
      });
}

// Each close() of a descriptor; which of them is the last the kernel does not say.
void flush(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info* file) {
  guarded(request, [&] {
    // ENOSYS: it need not ask again.
    if (!gallery_of(request).writable()) return void(fuse_reply_err(request, ENOSYS));
    if (!opened(file).writing) return void(fuse_reply_err(request, 0));
    const auto held = hold(opened(file));
    flush_all(request, *opened(file).served);
  });
}

// What may not change may be "changed" to what it is. A disk grows where it may, and is never cut:
// whoever does that by mistake has lost what was there.
int check_attributes(const struct stat& now, const struct stat& wanted, int which, bool may_grow) {
  const bool size = (which & FUSE_SET_ATTR_SIZE) != 0 && wanted.st_size != now.st_size &&
                    !(may_grow && wanted.st_size > now.st_size);
  const bool mode =
      (which & FUSE_SET_ATTR_MODE) != 0 && (wanted.st_mode & 07777U) != (now.st_mode & 07777U);
  const bool owner = (which & FUSE_SET_ATTR_UID) != 0 && wanted.st_uid != now.st_uid;
  const bool group = (which & FUSE_SET_ATTR_GID) != 0 && wanted.st_gid != now.st_gid;
  return size || mode || owner || group ? EPERM : 0;
}

void setattr(fuse_req_t request, fuse_ino_t inode, struct stat* wanted, int which,
             fuse_file_info* /*file*/) {
  with_node(
      request, inode,
      [&](Served& served, const Node& node) {
        if (writer_of(served, node) == nullptr) return void(fuse_reply_err(request, EROFS));
        Result<struct stat> st = stat_of(served, node);
        if (!st) return reply_error(request, st.error());
        const bool may_grow = served.by.resize && node.kind == Node::Kind::disk;
        // The times are the image's, and stay that.
        int refusal = check_attributes(*st, *wanted, which, may_grow);
        if (refusal == 0 && (which & FUSE_SET_ATTR_SIZE) != 0 && wanted->st_size > st->st_size) {
          refusal = grow(served, static_cast<uint64_t>(wanted->st_size));
          st = stat_of(served, node);
        }
        if (refusal != 0) return void(fuse_reply_err(request, refusal));
        if (!st) return reply_error(request, st.error());
        fuse_reply_attr(request, &*st, attribute_timeout(served, node));
      },
      refuse_unopened);
}

// Files are made, removed and renamed nowhere. A read-only mount says so itself.
template <int kError, class... Arguments>
void refuse(fuse_req_t request, Arguments... /*arguments*/) {
  fuse_reply_err(request, gallery_of(request).writable() ? kError : EROFS);
}

}  // namespace

void add_write_ops(fuse_lowlevel_ops& ops) {
  ops.write = write;
  ops.fallocate = fallocate;
  ops.fsync = fsync;
  ops.fsyncdir = fsyncdir;
  ops.flush = flush;
  ops.setattr = setattr;
  ops.mknod = refuse<EPERM>;
  ops.unlink = refuse<EPERM>;
  ops.symlink = refuse<EPERM>;
  ops.link = refuse<EPERM>;
  ops.create = refuse<EPERM>;
  ops.removexattr = refuse<EOPNOTSUPP>;
}

}  // namespace platter::fusefs
