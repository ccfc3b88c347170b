#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "fusefs/attributes.h"
#include "fusefs/kernel_offer.h"
#include "fusefs/live_info.h"
#include "fusefs/ops.h"
#include "fusefs/ops_unopened.h"
#include "fusefs/reply.h"
#include "lib/container/extent_walk.h"

namespace platter::fusefs {
namespace {

Result<std::unique_ptr<OpenFile>> describe_open(Served& served, const Node& node) {
  auto file = std::make_unique<OpenFile>();
  file->served = &served;
  if (node.kind == Node::Kind::info) {
    file->text = TRY(live_info(served, served.disk(node)));
    return file;
  }
  file->disk = &served.disk(node);
  if (node.kind == Node::Kind::partition) file->partition = TRY(window_of(served, node));
  // disk.raw and a partition are two inodes of the same bytes: only one of them may be cached.
  file->cached =
      !served.by.direct && (node.kind == Node::Kind::disk || writer_of(served, node) == nullptr);
  return file;
}

void open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
  with_node(
      request, inode,
      [&](Served& served, const Node& node) {
        if (node.is_directory()) return void(fuse_reply_err(request, ENOENT));
        // A disk has one size: cutting it changes nothing.
        const bool writing = (file->flags & O_ACCMODE) != O_RDONLY || (file->flags & O_TRUNC) != 0;
        if (writing && writer_of(served, node) == nullptr) {
          return void(fuse_reply_err(request, EROFS));
        }
        Result<std::unique_ptr<OpenFile>> described = describe_open(served, node);
        if (!described) return reply_error(request, described.error());
        (*described)->writing = writing;
        if (node.kind == Node::Kind::disk && node.disk == 0 && (*described)->cached) {
          served.disk_opened = true;
        }
        const OpenFile& added = served.open_files.add(*std::move(described));
        // Whoever deletes it looks for open files after it has said so.
        if (added.disk != nullptr && added.disk->is_going()) {
          served.open_files.remove(added);
          return void(fuse_reply_err(request, ENOENT));
        }
        // The size of info.json is not known before it is rendered.
        file->direct_io = node.kind == Node::Kind::info || !added.cached;
        file->keep_cache = !file->direct_io && (served.by.lasting || !served.is_first_open(inode));
        file->fh = reinterpret_cast<uintptr_t>(&added);
        // An open that was interrupted is not released either.
        const int replied = writing && file->direct_io
                                ? reply_open_for_parallel_writes(request, file)
                                : fuse_reply_open(request, file);
        if (replied == -ENOENT) served.open_files.remove(added);
      },
      [&](fuse_req_t, const Node& node) { open_unopened(request, node, file); });
}

void release(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info* file) {
  const OpenFile& closed = opened(file);
  const auto held = hold(closed);
  Served* const served = closed.served;
  (served != nullptr ? served->open_files : gallery_of(request).texts()).remove(closed);
  fuse_reply_err(request, 0);
}

// What lies inside a file of that length.
Range inside(size_t size, off_t offset, uint64_t length) {
  return intersect({static_cast<uint64_t>(offset), size}, {0, length});
}

void read_text(fuse_req_t request, const std::string& text, size_t size, off_t offset) {
  const Range wanted = inside(size, offset, text.size());
  fuse_reply_buf(request, text.data() + (wanted.empty() ? 0 : wanted.offset), wanted.length);
}

void read(fuse_req_t request, fuse_ino_t /*inode*/, size_t size, off_t offset,
          fuse_file_info* file) {
  guarded(request, [&] {
    const OpenFile& open_file = opened(file);
    if (open_file.served == nullptr) return read_text(request, open_file.text, size, offset);
    const auto held = hold(open_file);
    Served& served = *open_file.served;
    Counters& counters = served.counters;
    counters.reads.fetch_add(1, std::memory_order_relaxed);
    const Stopwatch stopwatch(counters.read_ns);
    if (open_file.disk == nullptr) return read_text(request, open_file.text, size, offset);
    const Layout::Request reading(served.container.layout());
    const View& view = open_file.disk->view(reading);
    const Range window = open_file.window(view.size());
    const Range wanted = inside(size, offset, window.length);
    if (wanted.empty()) return void(fuse_reply_buf(request, nullptr, 0));
    // Counted before the reply: its reader may ask for the count next.
    counters.bytes_read.fetch_add(wanted.length, std::memory_order_relaxed);
    if (!reply_bytes(request, view, {window.offset + wanted.offset, wanted.length},
                     open_file.disk->read_ahead())) {
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

// Where SEEK_DATA or SEEK_HOLE leads to from there; empty: nowhere.
Result<std::optional<uint64_t>> seek_in(const OpenFile& open_file, uint64_t from, bool hole) {
  if (open_file.disk == nullptr) {
    if (from >= open_file.text.size()) return std::optional<uint64_t>();
    return std::optional<uint64_t>(hole ? open_file.text.size() : from);
  }
  const Layout::Request reading(open_file.served->container.layout());
  const View& view = open_file.disk->view(reading);
  const Range window = open_file.window(view.size());
  if (from >= window.length) return std::optional<uint64_t>();
  const uint64_t found =
      TRY(seek(view, {window.offset + from, window.length - from}, hole)) - window.offset;
  if (!hole && found == window.length) return std::optional<uint64_t>();
  return std::optional(found);
}

void lseek(fuse_req_t request, fuse_ino_t /*inode*/, off_t offset, int whence,
           fuse_file_info* file) {
  guarded(request, [&] {
    if (whence != SEEK_DATA && whence != SEEK_HOLE) return void(fuse_reply_err(request, EINVAL));
    if (offset < 0) return void(fuse_reply_err(request, ENXIO));
    const auto held = hold(opened(file));
    const auto found = seek_in(opened(file), static_cast<uint64_t>(offset), whence == SEEK_HOLE);
    if (!found) return reply_error(request, found.error());
    if (!*found) return void(fuse_reply_err(request, ENXIO));
    fuse_reply_lseek(request, static_cast<off_t>(**found));
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
