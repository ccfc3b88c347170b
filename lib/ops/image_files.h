// ImageFiles: the files an image is made of, to be kept from others and deleted.
#pragma once

#include <string>
#include <vector>

#include "lib/container/container.h"

namespace platter {

// Thread safety: one thread.
class ImageFiles {
 public:
  static Result<ImageFiles> of(const ChainLayer& layer);

  const std::string& path() const { return path_; }
  const Format& format() const { return *format_; }
  // The image itself, without its other files.
  const FileStat& image() const { return files_.front().stat; }
  // One of them is this file.
  bool has(const FileStat& file) const;
  bool shares_a_file_with(const ImageFiles& other) const;

  // Keeps other programs from using them, as long as this lives. Errc::busy: somebody is there, or
  // a name has another file by now.
  Result<void> lock();
  // Deletes them, the image itself first, without which the others are nothing; devices stay.
  // Durable when it returns. A name that has another file by now is left alone.
  Result<void> remove() const;

 private:
  struct Own {
    std::string name;
    FileStat stat;
    FilePtr locked;  // null: not yet
  };
  ImageFiles(std::string path, const Format& format) : path_(std::move(path)), format_(&format) {}

  std::string path_;
  const Format* format_;
  std::vector<Own> files_;  // at least one
};

// Makes durable which names are in the directory that path is in.
Result<void> sync_directory(const std::string& path);

}  // namespace platter
