// platter.h: disks.
#include <cstring>

#include <fmt/format.h>

#include "lib/api/c_status.h"
#include "lib/base/result.h"

using platter::Errc;
using platter::Error;
using platter::Result;
using platter::VirtualDisk;
using platter::api::status_of;

struct platter_disk {
  VirtualDisk disk;
};

namespace {

// Calls what gives a Result<void> with the disk.
template <class Disk, class Call>
int with(Disk* disk, Call&& call) noexcept {
  return status_of([&]() -> Result<void> {
    if (disk == nullptr) return platter::api::missing_argument();
    return call(disk->disk);
  });
}

// Likewise with a name.
template <class Call>
int with_name(platter_disk* disk, const char* name, Call&& call) noexcept {
  return with(disk, [&](VirtualDisk& d) -> Result<void> {
    if (name == nullptr) return platter::api::missing_argument();
    return call(d);
  });
}

}  // namespace

const char* platter_version(void) { return PLATTER_VERSION; }

int platter_disk_new(int kind, platter_disk** disk) {
  return status_of([&]() -> Result<void> {
    if (disk == nullptr) return platter::api::missing_argument();
    if (kind < PLATTER_HARD_DISK || kind > PLATTER_FLOPPY) {
      return Error(Errc::invalid, fmt::format("{}: there is no such kind of disk", kind));
    }
    *disk = new platter_disk{VirtualDisk(static_cast<VirtualDisk::Kind>(kind - 1))};
    return {};
  });
}
void platter_disk_free(platter_disk* disk) { delete disk; }

int platter_open(platter_disk* disk, const char* path, const char* format, uint32_t flags,
                 const char* passphrase) {
  return with(disk, [&](VirtualDisk& d) -> Result<void> {
    const platter::OpenImage opened = TRY(platter::api::image_of(path, format, flags, passphrase));
    return d.open(opened);
  });
}
int platter_open_chain(platter_disk* disk, const char* path, const char* format, uint32_t flags,
                       const char* passphrase) {
  return with(disk, [&](VirtualDisk& d) -> Result<void> {
    const platter::OpenImage opened = TRY(platter::api::image_of(path, format, flags, passphrase));
    return d.open_chain(opened);
  });
}
int platter_create_base(platter_disk* disk, const platter_new_image* image) {
  return with(disk, [&](VirtualDisk& d) -> Result<void> {
    const platter::NewImageOf made = TRY(platter::api::new_image_of(image));
    return d.create_base(made);
  });
}
int platter_create_child(platter_disk* disk, const platter_new_image* image) {
  return with(disk, [&](VirtualDisk& d) -> Result<void> {
    const platter::NewImageOf made = TRY(platter::api::new_image_of(image));
    return d.create_child(made);
  });
}
int platter_close(platter_disk* disk, int remove_files) {
  return with(disk, [&](VirtualDisk& d) {
    return d.close(remove_files != 0 ? VirtualDisk::Remove::files : VirtualDisk::Remove::nothing);
  });
}
int platter_close_all(platter_disk* disk) {
  return with(disk, [](VirtualDisk& d) { return d.close_all(); });
}

size_t platter_count(const platter_disk* disk) { return disk == nullptr ? 0 : disk->disk.count(); }
int platter_is_read_only(const platter_disk* disk) {
  return disk == nullptr || disk->disk.is_read_only() ? 1 : 0;
}
uint64_t platter_size(const platter_disk* disk) { return disk == nullptr ? 0 : disk->disk.size(); }

int platter_read(const platter_disk* disk, uint64_t offset, void* out, size_t length) {
  return with(disk, [&](const VirtualDisk& d) -> Result<void> {
    if (out == nullptr) return platter::api::missing_argument();
    return d.read(offset, {static_cast<std::byte*>(out), length});
  });
}
int platter_write(platter_disk* disk, uint64_t offset, const void* data, size_t length) {
  return with(disk, [&](VirtualDisk& d) -> Result<void> {
    if (data == nullptr) return platter::api::missing_argument();
    return d.write(offset, {static_cast<const std::byte*>(data), length});
  });
}
int platter_zero(platter_disk* disk, uint64_t offset, uint64_t length) {
  return with(disk, [&](VirtualDisk& d) { return d.zero({.offset = offset, .length = length}); });
}
int platter_discard(platter_disk* disk, uint64_t offset, uint64_t length) {
  return with(disk, [&](VirtualDisk& d) {
    const platter::ByteRange range{.offset = offset, .length = length};
    return d.discard({&range, 1});
  });
}
int platter_flush(platter_disk* disk) {
  return with(disk, [](VirtualDisk& d) { return d.flush(); });
}
int platter_resize(platter_disk* disk, uint64_t size, int shrink) {
  return with(disk, [&](VirtualDisk& d) { return d.resize(size, shrink != 0); });
}

int platter_snapshot_create(platter_disk* disk, const char* name) {
  return with_name(disk, name, [&](VirtualDisk& d) { return d.create_snapshot(name); });
}
int platter_snapshot_remove(platter_disk* disk, const char* name) {
  return with_name(disk, name, [&](VirtualDisk& d) { return d.remove_snapshot(name); });
}
int platter_snapshot_rename(platter_disk* disk, const char* name, const char* to) {
  return with_name(disk, name, [&](VirtualDisk& d) -> Result<void> {
    if (to == nullptr) return platter::api::missing_argument();
    return d.rename_snapshot(name, to);
  });
}
int platter_snapshot_apply(platter_disk* disk, const char* name) {
  return with_name(disk, name, [&](VirtualDisk& d) { return d.apply_snapshot(name); });
}

int platter_set(platter_disk* disk, size_t image, const char* key, const char* value) {
  return with_name(disk, key, [&](VirtualDisk& d) -> Result<void> {
    if (value == nullptr) return platter::api::missing_argument();
    return d.set(image, {{key, value}});
  });
}
