// Images of every kind that can be written, for mount tests.
#pragma once

#include <string>
#include <vector>

#include "lib/image/check.h"
#include "tests/support/temp_dir.h"

namespace platter::test {

// A disk of 4 MiB in directory, half of it data.
struct WritableImage {
  // kind: "raw", "vdi", or "child": a VDI over another one.
  WritableImage(const std::string& kind, const std::string& directory);

  // What the disk holds now, read by the library without a mount.
  std::string contents() const;
  // What a check of the image finds; nothing for raw, which has nothing to check.
  CheckReport check() const;

  std::string path;
  std::string parent;  // empty: none
  std::vector<std::string> options;
};

inline constexpr size_t kWritableSize = 4 << 20;

}  // namespace platter::test
