// Locks between processes: QEMU's byte locks, so that QEMU and Platter respect one another.
#pragma once

#include <cstdint>
#include <string>

#include "lib/base/result.h"

namespace platter {

// What the holder does to the image.
enum class LockMode : unsigned char {
  read,   // wants the contents to stay what they are
  write,  // changes contents and size
};

// Takes the locks on an open file; they last until it is closed. Errc::busy when another process
// (or another opening in this one) holds what conflicts; the message names its pid where that is
// ours to see. Filesystems without such locks: a warning in the log, and no lock.
//
// The protocol (QEMU 2.10 and later, block/file-posix.c): shared locks on byte 100+n say "I use
// permission n", on 200+n "nobody else may"; n: 0 consistent read, 1 write, 3 resize. Own locks are
// taken first, then conflicts are looked for, so of two that start at once at least one sees the
// other. Thread safe.
Result<void> lock_image(int fd, const std::string& name, LockMode mode);

}  // namespace platter
