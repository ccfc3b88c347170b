// Resolver: how an image reaches the files it names (parent, extents, data file). The only way for
// a driver to open anything: the policy lives here.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/io/file.h"

namespace platter {

struct Candidate {
  std::string name;
  FilePtr file;
};

// Thread safety: const methods may run at any time.
class Resolver {
 public:
  virtual ~Resolver() = default;

  // reference: exactly as it stands in the image; a file name and nothing else.
  // Errc::denied when the policy forbids it (the message names the option that would allow it),
  // Errc::not_found when there is no such file.
  virtual Result<FilePtr> open(std::string_view reference, Access access = Access::read) const = 0;

  // Files that may hold a parent known by its id only: those with one of the extensions (without a
  // dot, any case) beside the image, then in the directory above where the policy allows it. Each
  // directory in the order of its names, at most 4096 of them, one open at a time; visit answers
  // whether to go on. What cannot be opened is left out.
  using Visit = std::function<Result<bool>(const Candidate&)>;
  virtual Result<void> candidates(std::span<const std::string_view> extensions,
                                  const Visit& visit) const = 0;

  // Relative names in a file start at the directory that holds it.
  virtual std::unique_ptr<Resolver> for_file(const File& opened) const = 0;
};

// Which files an image may name. Regular files in any case: never a device, FIFO, URL or "json:".
enum class References : unsigned char {
  none,    // no file at all
  beside,  // at or below the image's own directory; for an image in a directory named
           // "Snapshots" also at or below the one above it
  any,
};

// Errc::invalid unless it is one of the three words.
Result<References> parse_references(std::string_view word);

// Opens relative to the directory of image_path; symbolic links may not lead out of what the policy
// allows (openat2 with RESOLVE_BENEATH). cross_mounts: what lies beside may be on another file
// system. A program that opens images while it serves a mount forbids it, lest an image lead into
// that mount and it wait for itself. named: absolute names of files that the user named as well,
// and which any image may name, wherever they are.
std::unique_ptr<Resolver> directory_resolver(const std::string& image_path, References policy,
                                             bool cross_mounts = true,
                                             std::vector<std::string> named = {});

// Refuses everything: for commands that open no other file, and for images whose format was
// guessed.
std::unique_ptr<Resolver> deny_resolver(std::string reason);

// Names to files, for tests.
std::unique_ptr<Resolver> map_resolver(std::map<std::string, FilePtr> files);

}  // namespace platter
