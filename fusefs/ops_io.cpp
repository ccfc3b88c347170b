#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "fusefs/attributes.h"
#include "fusefs/live_info.h"
#include "fusefs/ops.h"
#include "fusefs/reply.h"
#include "lib/container/extent_walk.h"

namespace platter::fusefs {
namespace {

// Held while bytes are looked for and until they are out, where somebody may write meanwhile.
class OpenRead {
 public:
  explicit OpenRead(const Served& served) {
    if (served.container.writer() != nullptr) request_.emplace(served.container.epochs());
  }

 private:
  std::optional<Epochs::Request> request_;
};

Result<std::unique_ptr<OpenFile>> describe_open(const Served& served, const Node& node) {
  auto file = std::make_unique<OpenFile>();
  if (node.kind == Node::Kind::info) {
    file->text = TRY(live_info(served, served.disk(node)));
    return file;
  }
  file->view = &served.disk(node).view();
  file->window = TRY(window_of(served, node));
  // disk.raw and a partition are two inodes of the same bytes: only one of them may be cached.
  file->cached = node.kind == Node::Kind::disk || writer_of(served, node) == nullptr;
  return file;
}

void open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
  guarded(request, [&] {
    Served& served = served_by(request);
    const std::optional<Node> node = served.tree.node(inode);
    if (!node || node->is_directory()) return void(fuse_reply_err(request, ENOENT));
    // A disk has one size: cutting it changes nothing.
    const bool writing = (file->flags & O_ACCMODE) != O_RDONLY || (file->flags & O_TRUNC) != 0;
    if (writing && writer_of(served, *node) == nullptr) {
      return void(fuse_reply_err(request, EROFS));
    }
    Result<std::unique_ptr<OpenFile>> described = describe_open(served, *node);
    if (!described) return reply_error(request, described.error());
    if (writing) (*described)->written = &served.disk(*node);
    if (node->kind == Node::Kind::disk && node->disk == 0) served.disk_opened = true;
    const OpenFile& added = served.open_files.add(*std::move(described));
    // The size of info.json is not known before it is rendered.
    file->direct_io = node->kind == Node::Kind::info || !added.cached;
    file->keep_cache = !file->direct_io;
    file->fh = reinterpret_cast<uintptr_t>(&added);
    // An open that was interrupted is not released either.
    if (fuse_reply_open(request, file) == -ENOENT) served.open_files.remove(added);
  });
}

void release(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info* file) {
  served_by(request).open_files.remove(opened(file));
  fuse_reply_err(request, 0);
}

void read(fuse_req_t request, fuse_ino_t /*inode*/, size_t size, off_t offset,
          fuse_file_info* file) {
  guarded(request, [&] {
    const OpenFile& open_file = opened(file);
    Counters& counters = served_by(request).counters;
    counters.reads.fetch_add(1, std::memory_order_relaxed);
    const uint64_t length =
        open_file.view != nullptr ? open_file.window.length : open_file.text.size();
    const Range wanted = intersect({static_cast<uint64_t>(offset), size}, {0, length});
    if (wanted.empty()) return void(fuse_reply_buf(request, nullptr, 0));
    if (open_file.view == nullptr) {
      fuse_reply_buf(request, open_file.text.data() + wanted.offset, wanted.length);
      return;
    }
    // Counted before the reply: its reader may ask for the count next.
    const OpenRead reading(served_by(request));
    counters.bytes_read.fetch_add(wanted.length, std::memory_order_relaxed);
    if (!reply_bytes(request, *open_file.view,
                     {open_file.window.offset + wanted.offset, wanted.length})) {
      counters.bytes_read.fetch_sub(wanted.length, std::memory_order_relaxed);
    }
  });
}

// The first byte of range that is in a hole, or is not; range.end() when there is none.
Result<uint64_t> seek(const View& view, Range range, bool hole) {
  while (!range.empty()) {
    const Extent extent = TRY(view.map(range)).extent;
    if (is_hole(extent) == hole) return range.offset;
    range = {extent.guest.end(), range.length - extent.guest.length};
  }
  return range.offset;
}

void lseek(fuse_req_t request, fuse_ino_t /*inode*/, off_t offset, int whence,
           fuse_file_info* file) {
  guarded(request, [&] {
    if (whence != SEEK_DATA && whence != SEEK_HOLE) return void(fuse_reply_err(request, EINVAL));
    const OpenFile& open_file = opened(file);
    const bool hole = whence == SEEK_HOLE;
    const uint64_t length =
        open_file.view != nullptr ? open_file.window.length : open_file.text.size();
    const auto from = static_cast<uint64_t>(offset);
    if (offset < 0 || from >= length) return void(fuse_reply_err(request, ENXIO));
    uint64_t found = hole ? length : from;
    if (open_file.view != nullptr) {
      const OpenRead reading(served_by(request));
      const uint64_t start = open_file.window.offset;
      const Result<uint64_t> at = seek(*open_file.view, {start + from, length - from}, hole);
      if (!at) return reply_error(request, at.error());
      found = *at - start;
    }
    if (!hole && found == length) return void(fuse_reply_err(request, ENXIO));
    fuse_reply_lseek(request, static_cast<off_t>(found));
  });
}

}  // namespace

void add_io_ops(fuse_lowlevel_ops& ops) {
  ops.open = open;
  ops.release = release;
  ops.read = read;
  ops.lseek = lseek;
}

}  // namespace platter::fusefs
