// The command line of platterfs: one table parses it and prints --help.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/container/container.h"
#include "lib/ops/passphrase.h"

namespace platter::fusefs {

// Whose the files of the mount are; what is not set is the image's.
struct Ownership {
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<mode_t> umask;  // set: of 0444 and 0555, not of the image's mode
};

struct MountOptions {
  enum class Action : unsigned char { mount, check, nothing, help, version };
  Action action = Action::mount;    // check: whether it could be mounted there, and no more
  std::vector<std::string> images;  // as given: files, or directories of them; at least one
  std::string mountpoint;           // as given
  bool foreground = false, debug = false, single_thread = false, nonempty = false;
  bool sloppy = false;               // mount options that are not known are passed over
  bool nofail = false;               // mount(8) shall not mind an image that is not there
  bool verbose = false;              // says what is mounted where
  unsigned threads = 0;              // 0: as many as there are processors, at least 4
  ContainerOptions container;        // Access::write: unless the image cannot be
  bool directories_written = false;  // also what is in directories that were named
  bool overlay = false;              // what is written goes to another image
  std::string overlay_file;          // that image, kept; empty: a temporary one
  std::string cache_image;           // a local file that keeps what is read; empty: none
  bool shared = false;               // lock=shared: others may write meanwhile
  bool resize = false;               // truncate() may make the disk larger
  bool direct = false;               // no page cache for disks: writers do not wait for one another
  KeyInput key;                      // of encrypted images; not given: it is asked for
  std::string log;  // a file's name; empty: standard error, syslog once in the background
  Ownership ownership;
  std::string fsname;  // empty: the image's absolute path
  std::string subtype = "platterfs";
  std::vector<std::string> kernel;  // options for libfuse and the kernel, as they are given to them
};

// arguments: without the program's name. Errc::invalid names the argument that is wrong.
Result<MountOptions> parse_options(std::span<char* const> arguments, bool sloppy = false);

std::string help_text();

}  // namespace platter::fusefs
