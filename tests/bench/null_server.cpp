// null_server: the least a FUSE server can do, the limit that platterfs is measured against.
// FILE is mapped once and shown as MOUNTPOINT/disk.raw; every read is answered from the mapping
// with one copy, by libfuse's threads, with the session settings of platterfs; with -w every write
// goes into FILE where it stands in the disk. Stays in the foreground; ends when it is unmounted or
// on SIGTERM.
#define FUSE_USE_VERSION 312

#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace {

constexpr fuse_ino_t kDiskInode = 2;
constexpr char kDiskName[] = "disk.raw";
constexpr unsigned kMaxRead = 1U << 20U;    // bytes; the most the kernel asks for at once
constexpr double kAttributeTimeout = 3600;  // seconds; nothing ever changes
constexpr unsigned kDefaultThreads = 4;

struct Disk {
  const char* bytes = nullptr;
  uint64_t size = 0;
  int file = -1;  // to write to; -1: it is only read
};

const Disk& disk_of(fuse_req_t request) {
  return *static_cast<const Disk*>(fuse_req_userdata(request));
}

// False: there is no such inode.
bool attributes(const Disk& disk, fuse_ino_t inode, struct stat& st) {
  st = {};
  st.st_ino = inode;
  st.st_nlink = 1;
  if (inode == FUSE_ROOT_ID) {
    st.st_mode = S_IFDIR | 0555;
    return true;
  }
  st.st_mode = S_IFREG | (disk.file >= 0 ? 0644 : 0444);
  st.st_size = static_cast<off_t>(disk.size);
  st.st_blocks = static_cast<blkcnt_t>(disk.size / 512);
  return inode == kDiskInode;
}

void on_init(void*, fuse_conn_info* connection) {
  connection->max_read = kMaxRead;
  connection->max_readahead = std::max(connection->max_readahead, kMaxRead);
  connection->want &=
      ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

void on_lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  fuse_entry_param entry = {};
  if (parent != FUSE_ROOT_ID || std::strcmp(name, kDiskName) != 0) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  entry.ino = kDiskInode;
  entry.attr_timeout = entry.entry_timeout = kAttributeTimeout;
  attributes(disk_of(request), kDiskInode, entry.attr);
  fuse_reply_entry(request, &entry);
}

void on_getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  struct stat st;
  if (attributes(disk_of(request), inode, st)) {
    fuse_reply_attr(request, &st, kAttributeTimeout);
  } else {
    fuse_reply_err(request, ENOENT);
  }
}

void on_open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
  if (inode != kDiskInode) {
    fuse_reply_err(request, EISDIR);
  } else if ((file->flags & O_ACCMODE) != O_RDONLY && disk_of(request).file < 0) {
    fuse_reply_err(request, EROFS);
  } else {
    file->keep_cache = 1;
    fuse_reply_open(request, file);
  }
}

void on_read(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info*) {
  const Disk& disk = disk_of(request);
  const uint64_t from = std::min(static_cast<uint64_t>(offset), disk.size);
  fuse_reply_buf(request, disk.bytes + from, std::min<uint64_t>(size, disk.size - from));
}

void on_write(fuse_req_t request, fuse_ino_t, const char* bytes, size_t size, off_t offset,
              fuse_file_info*) {
  const ssize_t n = pwrite(disk_of(request).file, bytes, size, offset);
  if (n < 0) {
    fuse_reply_err(request, errno);
  } else {
    fuse_reply_write(request, static_cast<size_t>(n));
  }
}

void on_readdir(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info*) {
  std::string page(size, '\0');
  size_t used = 0;
  if (offset == 0) {
    struct stat st;
    attributes(disk_of(request), kDiskInode, st);
    const size_t entry = fuse_add_direntry(request, page.data(), size, kDiskName, &st, 1);
    if (entry <= size) used = entry;
  }
  fuse_reply_buf(request, page.data(), used);
}

int failed(const std::string& what) {
  std::fprintf(stderr, "null_server: %s: %s\n", what.c_str(), std::strerror(errno));
  return 1;
}

// The mapping lasts as long as the process.
bool map_disk(const char* path, bool writable, Disk& disk) {
  const int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  struct stat st = {};
  if (fd < 0 || fstat(fd, &st) != 0) return false;
  disk.size = static_cast<uint64_t>(st.st_size);
  void* address = mmap(nullptr, disk.size, PROT_READ, MAP_SHARED, fd, 0);
  if (writable) {
    disk.file = fd;
  } else {
    close(fd);
  }
  if (address == MAP_FAILED) return false;
  disk.bytes = static_cast<const char*>(address);
  return true;
}

int serve(fuse_session* session, unsigned threads) {
  const std::unique_ptr<fuse_loop_config, decltype(&fuse_loop_cfg_destroy)> loop(
      fuse_loop_cfg_create(), fuse_loop_cfg_destroy);
  fuse_loop_cfg_set_clone_fd(loop.get(), 1);
  fuse_loop_cfg_set_max_threads(loop.get(), threads);
  fuse_loop_cfg_set_idle_threads(loop.get(), threads);
  return fuse_session_loop_mt(session, loop.get()) < 0 ? failed("session") : 0;
}

int run(Disk& disk, const char* mountpoint, unsigned threads) {
  fuse_lowlevel_ops operations = {};
  operations.init = on_init;
  operations.lookup = on_lookup;
  operations.getattr = on_getattr;
  operations.open = on_open;
  operations.read = on_read;
  if (disk.file >= 0) operations.write = on_write;
  operations.readdir = on_readdir;
  std::string name = "null_server", flag = "-o";
  std::string options = disk.file >= 0 ? "rw" : "ro";
  options += ",fsname=null_server,max_read=" + std::to_string(kMaxRead);
  char* arguments[] = {name.data(), flag.data(), options.data(), nullptr};
  fuse_args args = {3, arguments, 0};
  fuse_session* session = fuse_session_new(&args, &operations, sizeof operations, &disk);
  fuse_opt_free_args(&args);
  if (session == nullptr) return 1;
  int status = 1;
  if (fuse_set_signal_handlers(session) == 0) {
    if (fuse_session_mount(session, mountpoint) == 0) {
      status = serve(session, threads);
      fuse_session_unmount(session);
    }
    fuse_remove_signal_handlers(session);
  }
  fuse_session_destroy(session);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  unsigned threads = kDefaultThreads;
  bool writable = false, understood = true;
  for (int option = 0; (option = getopt(argc, argv, "t:w")) != -1;) {
    const std::string_view number = option == 't' ? optarg : "";
    if (option == 'w') {
      writable = true;
      continue;
    }
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), threads);
    understood = understood && option == 't' && error == std::errc() &&
                 end == number.data() + number.size() && threads != 0;
  }
  if (!understood || argc - optind != 2) {
    std::fprintf(stderr, "usage: null_server [-w] [-t THREADS] FILE MOUNTPOINT\n");
    return 2;
  }
  Disk disk;
  if (!map_disk(argv[optind], writable, disk)) return failed(argv[optind]);
  return run(disk, argv[optind + 1], threads);
}
