/* Platter for C and for whatever calls C: images laid over one another, and the disk they make.
 *
 * Every function that returns an int returns 0 (PLATTER_OK) or one of the statuses below, and then
 * platter_last_error() says in one line what went wrong, and where. A call that fails leaves the
 * disk as it was. Strings are UTF-8 or any bytes that name a file, and end with a zero byte. Sizes
 * and offsets are in bytes. Null for a pointer that is not optional is PLATTER_INVALID.
 *
 * Threads: of one disk platter_read, platter_write, platter_zero, platter_discard, platter_flush
 * and the functions that only ask may run at once; every other one alone.
 *
 * <platter/virtual_disk.h> and <platter/images.h> say more of each; what is said there holds here.
 */
#ifndef PLATTER_H
#define PLATTER_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PLATTER_C_API __attribute__((visibility("default")))
#else
#define PLATTER_C_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct platter_disk platter_disk;

enum platter_status {
  PLATTER_OK = 0,
  PLATTER_IO = 1,           /* the host refused */
  PLATTER_NOT_FOUND = 2,    /* no such file, image or snapshot */
  PLATTER_DENIED = 3,       /* not allowed */
  PLATTER_WRONG_FORMAT = 4, /* not an image of that format at all */
  PLATTER_CORRUPT = 5,      /* the image breaks its own rules, or has another parent */
  PLATTER_UNSUPPORTED = 6,  /* valid, but not possible here */
  PLATTER_INVALID = 7,      /* an argument makes no sense */
  PLATTER_READ_ONLY = 8,
  PLATTER_NO_SPACE = 9,
  PLATTER_OUT_OF_RANGE = 10, /* outside the disk */
  PLATTER_BUSY = 11,         /* somebody else uses the image */
  PLATTER_NO_KEY = 12,       /* encrypted, and the passphrase is missing or wrong */
  PLATTER_CANCELLED = 13,
  PLATTER_NO_MEMORY = 14
};

enum platter_kind { PLATTER_HARD_DISK = 1, PLATTER_DVD = 2, PLATTER_FLOPPY = 3 };

/* How an image is opened; other bits are PLATTER_INVALID. */
enum platter_open_flags {
  PLATTER_OPEN_NORMAL = 0,
  PLATTER_OPEN_READ_ONLY = 0x1,
  PLATTER_OPEN_HONOR_ZEROES = 0x2,
  PLATTER_OPEN_HONOR_SAME = 0x4,
  PLATTER_OPEN_INFO = 0x8,
  PLATTER_OPEN_SHAREABLE = 0x20,
  PLATTER_OPEN_SEQUENTIAL = 0x40,
  PLATTER_OPEN_DISCARD = 0x80
};

/* What a new image is. */
typedef struct platter_new_image {
  const char* path;
  const char* format;          /* as `platter formats` lists it */
  uint64_t size;               /* of the disk; of a child 0: its parent's */
  const char* variant;         /* likewise; null: the usual one */
  const char* const* options;  /* "key=value" each, then null; null: none */
  const char* const* metadata; /* likewise: comment, uuid, geometry-pchs ... */
  const char* passphrase;      /* null: not encrypted */
  uint32_t flags;              /* it is then open with */
} platter_new_image;

PLATTER_C_API const char* platter_version(void);
/* Of the last call of this thread that failed; until the next one. Never null. */
PLATTER_C_API const char* platter_last_error(void);
/* What a function has given as a new string. Null is allowed. */
PLATTER_C_API void platter_free(char* text);

/* kind: of enum platter_kind. */
PLATTER_C_API int platter_disk_new(int kind, platter_disk** disk);
/* Closes everything; platter_close_all() before it tells errors. Null is allowed. */
PLATTER_C_API void platter_disk_free(platter_disk* disk);

/* format null: found out. passphrase null: none. */
PLATTER_C_API int platter_open(platter_disk* disk, const char* path, const char* format,
                               uint32_t flags, const char* passphrase);
PLATTER_C_API int platter_open_chain(platter_disk* disk, const char* path, const char* format,
                                     uint32_t flags, const char* passphrase);
PLATTER_C_API int platter_create_base(platter_disk* disk, const platter_new_image* image);
PLATTER_C_API int platter_create_child(platter_disk* disk, const platter_new_image* image);
/* remove_files not 0: the image's files are removed. */
PLATTER_C_API int platter_close(platter_disk* disk, int remove_files);
PLATTER_C_API int platter_close_all(platter_disk* disk);

/* Of null: 0 images, which are only read, and 0 bytes. */
PLATTER_C_API size_t platter_count(const platter_disk* disk);
PLATTER_C_API int platter_is_read_only(const platter_disk* disk);
PLATTER_C_API uint64_t platter_size(const platter_disk* disk);

PLATTER_C_API int platter_read(const platter_disk* disk, uint64_t offset, void* out, size_t length);
PLATTER_C_API int platter_write(platter_disk* disk, uint64_t offset, const void* data,
                                size_t length);
PLATTER_C_API int platter_zero(platter_disk* disk, uint64_t offset, uint64_t length);
PLATTER_C_API int platter_discard(platter_disk* disk, uint64_t offset, uint64_t length);
PLATTER_C_API int platter_flush(platter_disk* disk);
PLATTER_C_API int platter_resize(platter_disk* disk, uint64_t size, int shrink);

PLATTER_C_API int platter_snapshot_create(platter_disk* disk, const char* name);
PLATTER_C_API int platter_snapshot_remove(platter_disk* disk, const char* name);
PLATTER_C_API int platter_snapshot_rename(platter_disk* disk, const char* name, const char* to);
PLATTER_C_API int platter_snapshot_apply(platter_disk* disk, const char* name);

/* key, value: as `platter set` takes them. */
PLATTER_C_API int platter_set(platter_disk* disk, size_t image, const char* key, const char* value);

/* What `platter info --json` prints; chain not 0: of all parents, too. */
PLATTER_C_API int platter_info(const char* path, const char* format, int chain, char** json);

/* A new image of what the guest of another one sees. done, total: bytes; what it returns not 0
 * ends the copy with PLATTER_CANCELLED. progress may be null. */
typedef int (*platter_progress)(void* user, uint64_t done, uint64_t total);
PLATTER_C_API int platter_copy(const char* path, const char* format, const char* passphrase,
                               const platter_new_image* target, platter_progress progress,
                               void* user);

#ifdef __cplusplus
}
#endif

#endif
