// TempDir: a directory of a test's own, gone with it.
#pragma once

#include <string>

#include "lib/base/range.h"

namespace platter::test {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void write_file(const std::string& path, Bytes contents);
void write_file(const std::string& path, std::string_view contents);
std::string read_file(const std::string& path);

}  // namespace platter::test
