#include "tests/support/temp_dir.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace platter::test {

TempDir::TempDir() {
  const char* base = std::getenv("TMPDIR");
  path_ = std::string(base != nullptr ? base : "/tmp") + "/platter-test-XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no temporary directory");
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_file(const std::string& path, std::string_view contents) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(contents.data(), static_cast<std::streamsize>(contents.size()));
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

void write_file(const std::string& path, Bytes contents) {
  write_file(path,
             std::string_view(reinterpret_cast<const char*>(contents.data()), contents.size()));
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  // In large pieces: iterators take each byte through several calls, and some files are large. The
  // size of some, those of /proc above all, is not known before.
  constexpr size_t piece = 256 * 1024;
  std::string bytes;
  while (in) {
    const size_t had = bytes.size();
    bytes.resize(had + piece);
    in.read(bytes.data() + had, piece);
    bytes.resize(had + static_cast<size_t>(in.gcount()));
  }
  return bytes;
}

}  // namespace platter::test
