#include "fusefs/reply.h"

#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <set>
#include <vector>

#include "lib/base/log.h"
#include "lib/base/sync.h"
#include "lib/container/extent_walk.h"
#include "lib/container/guest_bytes.h"

namespace platter::fusefs {
namespace {

// From here on a piece of a reply is handed to the kernel where it lies; below, copying it is
// cheaper than one more part. It also bounds the parts: 1 MiB has at most 129 of them.
constexpr uint64_t kInPlace = 16 * KiB;

// Never written: its pages are all the kernel's one zero page.
alignas(4096) std::array<std::byte, MiB> zero_bytes;

// The parts of one reply. One a thread, used again and again, so that a read allocates nothing.
class ReadReply {
 public:
  void start(const Range& range) {
    range_ = range;
    lender_ = nullptr;
    extents_.clear();
    encoded_.clear();
    parts_.clear();
    units_.clear();
  }

  // The extents of the range, one behind the other.
  void add(const Extent& extent) {
    extents_.push_back(extent);
    if (extent.kind == Extent::Kind::encoded) encoded_.push_back(extent);
  }

  // Makes the parts. The compressed ones come first, all at once: they take the longest.
  Result<void> fill(BlockCache& blocks) {
    if (!encoded_.empty()) units_ = TRY(blocks.get_all(encoded_));
    size_t unit = 0;
    for (const Extent& extent : extents_) {
      switch (extent.kind) {
        case Extent::Kind::data: TRY(fill_data(extent)); break;
        case Extent::Kind::encoded: fill_decoded(extent, *units_[unit++]); break;
        case Extent::Kind::absent:
        case Extent::Kind::zero: fill_zeroes(extent.guest); break;
      }
    }
    return {};
  }

  int send(fuse_req_t request) {
    if (parts_.size() == 1) {
      return fuse_reply_buf(request, static_cast<const char*>(parts_[0].iov_base),
                            parts_[0].iov_len);
    }
    return fuse_reply_iov(request, parts_.data(), static_cast<int>(parts_.size()));
  }

  // The file whose pages the kernel copied from, the last of several; null: there was none.
  const File* lender() const { return lender_; }

  // Something in it had to be decoded.
  bool decoded() const { return !encoded_.empty(); }

  // Gives back what was lent to the reply.
  void finish() { units_.clear(); }

 private:
  // What is the whole reply needs no other part, however small it is.
  bool in_place(const Range& guest) const { return guest.length >= kInPlace || guest == range_; }

  // The place in the buffer of a guest range: where it stands in the reply.
  MutableBytes buffer_for(const Range& guest) {
    if (buffer_.size() < range_.length) buffer_.resize(range_.length);
    return MutableBytes(buffer_).subspan(guest.offset - range_.offset, guest.length);
  }

  void push(Bytes bytes) {
    if (!parts_.empty()) {
      iovec& last = parts_.back();
      if (static_cast<const std::byte*>(last.iov_base) + last.iov_len == bytes.data()) {
        last.iov_len += bytes.size();
        return;
      }
    }
    parts_.push_back({const_cast<std::byte*>(bytes.data()), bytes.size()});
  }

  Result<void> fill_data(const Extent& extent) {
    const Range host{extent.host, extent.guest.length};
    if (extent.cipher == nullptr && in_place(extent.guest)) {
      if (const std::byte* view = extent.file->kernel_view(host)) {
        push(Bytes(view, host.length));
        lender_ = extent.file;
        return {};
      }
    }
    const MutableBytes out = buffer_for(extent.guest);
    TRY(read_data(extent, out));
    push(out);
    return {};
  }

  void fill_decoded(const Extent& extent, const BlockCache::Block& unit) {
    const Bytes piece =
        Bytes(unit).subspan(extent.guest.offset - extent.unit.offset, extent.guest.length);
    if (in_place(extent.guest)) return push(piece);
    const MutableBytes out = buffer_for(extent.guest);
    std::memcpy(out.data(), piece.data(), piece.size());
    push(out);
  }

  void fill_zeroes(const Range& guest) {
    if (in_place(guest)) {
      for (uint64_t left = guest.length; left > 0;) {
        const uint64_t part = std::min<uint64_t>(left, zero_bytes.size());
        push(Bytes(zero_bytes).first(part));
        left -= part;
      }
      return;
    }
    const MutableBytes out = buffer_for(guest);
    std::memset(out.data(), 0, out.size());
    push(out);
  }

  Range range_;
  const File* lender_ = nullptr;
  std::vector<Extent> extents_;
  std::vector<Extent> encoded_;
  std::vector<iovec> parts_;
  std::vector<BlockCache::BlockPtr> units_;  // of encoded_
  std::vector<std::byte> buffer_;
};

// Each message once; a bounded number of them, since a damaged image has as many as it has blocks.
void log_once(const std::string& message) {
  constexpr size_t kMessages = 200;
  static Mutex mutex;
  static std::set<std::string> said;
  const MutexLock lock(mutex);
  if (said.size() > kMessages || !said.insert(message).second) return;
  log::error("{}", message);
  if (said.size() > kMessages) log::error("further errors of this mount are not logged");
}

// Some would say something of this mount: that it is dead, or that it can do without the request.
int errno_of_host(int error) {
  switch (error) {
    case 0:
    case ENOTCONN:
    case ECONNABORTED:
    case ENODEV:
    case ENOSYS:
    case ESTALE: return EIO;
    default: return error;
  }
}

// What is read through a cache is looked at before it is shown, so it lies in a buffer of ours.
bool reply_through_cache(fuse_req_t request, const View& view, const Range& range,
                         ReadAhead& ahead) {
  thread_local std::vector<std::byte> buffer;
  if (buffer.size() < range.length) buffer.resize(range.length);
  const Result<bool> kept =
      view.read_through_cache(range.offset, MutableBytes(buffer).first(range.length));
  if (!kept) {
    reply_error(request, kept.error());
    return false;
  }
  const int sent =
      fuse_reply_buf(request, reinterpret_cast<const char*>(buffer.data()), range.length);
  if (sent == 0 && !*kept) decode_ahead(view, ahead.after(range));
  return sent == 0;
}

}  // namespace

int errno_for(const Error& error) {
  switch (error.code()) {
    case Errc::io: return errno_of_host(error.sys_errno());
    case Errc::not_found: return ENOENT;
    case Errc::denied: return EACCES;
    case Errc::invalid:
    case Errc::out_of_range: return EINVAL;
    case Errc::read_only: return EROFS;
    case Errc::no_space: return ENOSPC;
    case Errc::busy: return EBUSY;
    case Errc::no_key: return EACCES;
    case Errc::cancelled: return EINTR;
    case Errc::wrong_format:
    case Errc::corrupt:
    case Errc::unsupported: return EIO;
  }
  return EIO;
}

void reply_error(fuse_req_t request, const Error& error) {
  const int code = errno_for(error);
  if (code == EIO) log_once(error.message());
  fuse_reply_err(request, code);
}

bool reply_bytes(fuse_req_t request, const View& view, const Range& range, ReadAhead& ahead) {
  if (view.cache() != nullptr) return reply_through_cache(request, view, range, ahead);
  thread_local ReadReply reply;
  reply.start(range);
  Result<void> ready = walk(view, range, [&](const View::Mapped& run) -> Result<bool> {
    reply.add(run.extent);
    return true;
  });
  if (ready) ready = reply.fill(view.blocks());
  if (!ready) {
    reply.finish();
    reply_error(request, ready.error());
    return false;
  }
  const int sent = reply.send(request);
  reply.finish();
  // The kernel could not copy from the host file's pages: it ends the request with EIO.
  if (sent == -EFAULT && reply.lender() != nullptr) {
    log_once(reply.lender()->name() + ": cannot read: the file shrank, or its disk failed");
  }
  if (sent == 0 && reply.decoded()) decode_ahead(view, ahead.after(range));
  return sent == 0;
}

}  // namespace platter::fusefs
