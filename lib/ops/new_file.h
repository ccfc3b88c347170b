// NewFile: a file that appears under its name when it is complete, or not at all.
#pragma once

#include <string>

#include "lib/io/posix_file.h"

namespace platter {

// Until publish() the file has no name where the filesystem can do that (O_TMPFILE), so that not
// even a killed process leaves anything; elsewhere it has a temporary one in the same directory,
// which goes with the object. Thread safety: one thread, but for file().
class NewFile {
 public:
  enum class Staging : unsigned char {
    unnamed,  // a temporary name only where there is no other way
    named,    // always a temporary name
  };

  // mode: permission bits, as they shall be (the umask does not count). Errc::invalid when path
  // exists, be it a dangling link.
  static Result<NewFile> begin(const std::string& path, uint32_t mode,
                               Staging staging = Staging::unnamed);
  ~NewFile();
  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&&) = delete;

  // Writable; its name() is the final one.
  const FilePtr& file() const { return file_; }

  // Gives the file its name. Never replaces another file: Errc::invalid when one has come there
  // meanwhile. The bytes are as durable as the file's own sync() made them; the name is durable
  // when this returns.
  Result<void> publish();
  // Takes the name away again, after publish(): the whole it was a part of has failed.
  void withdraw();

 private:
  NewFile(Descriptor directory, std::string path)
      : directory_(std::move(directory)), path_(std::move(path)) {}
  std::string entry() const { return path_.substr(path_.rfind('/') + 1); }
  Result<Descriptor> stage(Staging staging);
  Result<void> link_unnamed() const;
  Result<void> rename_temporary();

  Descriptor directory_;
  std::string path_;
  std::string temporary_;  // the entry it has until publish(); empty: none
  int fd_ = -1;            // file_'s own
  FilePtr file_;
};

}  // namespace platter
